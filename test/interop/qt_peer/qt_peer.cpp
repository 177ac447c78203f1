/*
 * qt_peer.cpp - a C++ Qt program that does what a test tells it, for the tests in which Qt and qshm share memory.
 *
 * A line on stdin is a call: {"id", "object", "method", "arguments"}; a line on stdout its answer: {"id", "value"} or
 * {"id", "error"}. Object 0 is the process; its "new QSharedMemory" and "new QSystemSemaphore" answer the number of
 * another. test/interop/peer_main.ts takes the same calls. Every call runs in a thread of its own: one that blocks is
 * answered when it ends, and holds up no other.
 */
#include <QByteArray>
#include <QDataStream>
#include <QIODevice>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QSharedMemory>
#include <QSystemSemaphore>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>

using Method = std::function<QJsonValue(const QJsonArray &)>;
using Methods = std::map<QString, Method>;

static std::mutex objects_mutex, output_mutex;
static std::map<int, std::shared_ptr<Methods>> objects;

static int add(Methods methods)
{
    std::lock_guard<std::mutex> guard(objects_mutex);
    int number = static_cast<int>(objects.size());
    objects[number] = std::make_shared<Methods>(std::move(methods));
    return number;
}

static char *bytes_of(QSharedMemory &memory, const QJsonArray &arguments, qsizetype length)
{
    qsizetype offset = arguments[0].toInt();
    if (!memory.isAttached() || offset + length > memory.size()) {
        throw std::out_of_range("not attached, or beyond the end");
    }
    return static_cast<char *>(memory.data()) + offset;
}

/* As Qt's "Shared Memory" example reads: a stream over the whole of it. */
static QJsonValue read_string(QSharedMemory &memory, int version)
{
    QByteArray bytes =
        QByteArray::fromRawData(static_cast<const char *>(memory.constData()), static_cast<int>(memory.size()));
    QDataStream stream(bytes);
    stream.setVersion(version);
    QString text;
    stream >> text;
    if (stream.status() != QDataStream::Ok) {
        throw std::runtime_error("status " + std::to_string(stream.status()));
    }
    return text.isNull() ? QJsonValue() : QJsonValue(text);
}

static QJsonValue write_string(QSharedMemory &memory, int version, const QJsonValue &text)
{
    QByteArray bytes;
    QDataStream stream(&bytes, QIODevice::WriteOnly);
    stream.setVersion(version);
    stream << (text.isNull() ? QString() : text.toString());
    if (bytes.size() > memory.size()) {
        return false;
    }
    memcpy(memory.data(), bytes.constData(), static_cast<size_t>(bytes.size()));
    return true;
}

/* Adds 1 to the 32-bit word at 0, so many times, each under the lock. */
static QJsonValue count(QSharedMemory &memory, int times)
{
    for (int i = 0; i < times; i++) {
        if (!memory.lock()) {
            return i;
        }
        volatile quint32 *word = static_cast<volatile quint32 *>(memory.data());
        *word = *word + 1;
        if (!memory.unlock()) {
            return i;
        }
    }
    return times;
}

static Methods shared_memory(const QString &key)
{
    /* Shared, so that "delete" can be called while others of its calls still are to end. */
    auto owner = std::make_shared<std::unique_ptr<QSharedMemory>>(new QSharedMemory(key));
    auto with = [owner](auto f) -> Method {
        return [owner, f](const QJsonArray &arguments) { return QJsonValue(f(**owner, arguments)); };
    };
    using Memory = QSharedMemory;
    using Arguments = const QJsonArray &;
    auto mode = [](const QJsonValue &value) {
        return value.isUndefined() ? Memory::ReadWrite : static_cast<Memory::AccessMode>(value.toInt());
    };

    return {
        {"delete",
         [owner](Arguments) {
             owner->reset();
             return QJsonValue();
         }},
        {"setKey", with([](Memory &m, Arguments a) {
             m.setKey(a[0].toString());
             return QJsonValue();
         })},
        {"setNativeKey", with([](Memory &m, Arguments a) {
             m.setNativeKey(a[0].toString());
             return QJsonValue();
         })},
        {"key", with([](Memory &m, Arguments) { return m.key(); })},
        {"nativeKey", with([](Memory &m, Arguments) { return m.nativeKey(); })},
        {"create", with([mode](Memory &m, Arguments a) { return m.create(a[0].toInt(), mode(a[1])); })},
        {"attach", with([mode](Memory &m, Arguments a) { return m.attach(mode(a[0])); })},
        {"isAttached", with([](Memory &m, Arguments) { return m.isAttached(); })},
        {"detach", with([](Memory &m, Arguments) { return m.detach(); })},
        {"size", with([](Memory &m, Arguments) { return static_cast<double>(m.size()); })},
        {"lock", with([](Memory &m, Arguments) { return m.lock(); })},
        {"unlock", with([](Memory &m, Arguments) { return m.unlock(); })},
        {"error", with([](Memory &m, Arguments) { return static_cast<int>(m.error()); })},
        {"errorString", with([](Memory &m, Arguments) { return m.errorString(); })},
        {"hasData", with([](Memory &m, Arguments) { return m.data() != nullptr; })},
        {"read", with([](Memory &m, Arguments a) {
             int length = a[1].toInt();
             return QString::fromLatin1(QByteArray(bytes_of(m, a, length), length).toHex());
         })},
        {"write", with([](Memory &m, Arguments a) {
             QByteArray bytes = QByteArray::fromHex(a[1].toString().toLatin1());
             memcpy(bytes_of(m, a, bytes.size()), bytes.constData(), static_cast<size_t>(bytes.size()));
             return QJsonValue();
         })},
        {"readString", with([](Memory &m, Arguments a) { return read_string(m, a[0].toInt()); })},
        {"writeString", with([](Memory &m, Arguments a) { return write_string(m, a[0].toInt(), a[1]); })},
        {"count", with([](Memory &m, Arguments a) { return count(m, a[0].toInt()); })},
    };
}

static Methods system_semaphore(const QJsonArray &made)
{
    using Semaphore = QSystemSemaphore;
    using Arguments = const QJsonArray &;
    auto mode = [](const QJsonValue &value) { return static_cast<Semaphore::AccessMode>(value.toInt(0)); };
    auto owner = std::make_shared<std::unique_ptr<Semaphore>>(
        new Semaphore(made[0].toString(), made[1].toInt(0), mode(made[2])));
    auto with = [owner](auto f) -> Method {
        return [owner, f](const QJsonArray &arguments) { return QJsonValue(f(**owner, arguments)); };
    };

    return {
        {"delete",
         [owner](Arguments) {
             owner->reset();
             return QJsonValue();
         }},
        {"setKey", with([mode](Semaphore &s, Arguments a) {
             s.setKey(a[0].toString(), a[1].toInt(0), mode(a[2]));
             return QJsonValue();
         })},
        {"key", with([](Semaphore &s, Arguments) { return s.key(); })},
        {"acquire", with([](Semaphore &s, Arguments) { return s.acquire(); })},
        {"release", with([](Semaphore &s, Arguments a) { return s.release(a[0].toInt(1)); })},
        {"error", with([](Semaphore &s, Arguments) { return static_cast<int>(s.error()); })},
        {"errorString", with([](Semaphore &s, Arguments) { return s.errorString(); })},
    };
}

/* "exit" destroys the objects first, as a program does that ends in order; "_exit" and "abort" do not. */
static Methods process()
{
    using Arguments = const QJsonArray &;
    return {
        {"new QSharedMemory", [](Arguments a) { return add(shared_memory(a[0].toString())); }},
        {"new QSystemSemaphore", [](Arguments a) { return add(system_semaphore(a)); }},
        {"qtVersion", [](Arguments) { return QString::fromLatin1(qVersion()); }},
        {"exit",
         [](Arguments a) {
             std::exit(a[0].toInt());
             return QJsonValue();
         }},
        {"_exit",
         [](Arguments a) {
             _exit(a[0].toInt());
             return QJsonValue();
         }},
        {"abort",
         [](Arguments) {
             std::abort();
             return QJsonValue();
         }},
    };
}

static void say(const QJsonObject &message)
{
    std::lock_guard<std::mutex> guard(output_mutex);
    std::cout << QJsonDocument(message).toJson(QJsonDocument::Compact).constData() << std::endl;
}

static void obey(const QJsonObject &order)
{
    QJsonObject answer{{"id", order["id"]}};
    try {
        std::shared_ptr<Methods> object;
        {
            std::lock_guard<std::mutex> guard(objects_mutex);
            object = objects.at(order["object"].toInt());
        }
        auto method = object->find(order["method"].toString());
        if (method == object->end()) {
            throw std::invalid_argument("no such method");
        }
        answer["value"] = method->second(order["arguments"].toArray());
    } catch (const std::exception &error) {
        answer["error"] = QJsonObject{{"name", "Error"}, {"message", error.what()}};
    }
    say(answer);
}

int main()
{
    add(process());
    say({{"id", 0}, {"value", static_cast<double>(getpid())}});
    for (std::string line; std::getline(std::cin, line);) {
        QJsonObject order = QJsonDocument::fromJson(QByteArray::fromStdString(line)).object();
        std::thread(obey, order).detach();
    }
}

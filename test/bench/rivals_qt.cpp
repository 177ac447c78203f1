/*
 * rivals_qt.cpp - Qt's own lock, as rivals.c: a line `<subject> <count>` on stdin, nanoseconds on stdout.
 */
#include <QSharedMemory>
#include <QString>

#include <chrono>
#include <iostream>
#include <string>
#include <unistd.h>

int main()
{
    QSharedMemory memory(QString::fromLatin1("bench of Qt %1").arg(getpid()));
    if (!memory.create(64)) {
        std::cerr << memory.errorString().toStdString() << std::endl;
        return 1;
    }
    std::string subject;
    long count;
    while (std::cin >> subject >> count) {
        auto start = std::chrono::steady_clock::now();
        for (long i = 0; i < count; i++) {
            memory.lock();
            memory.unlock();
        }
        auto elapsed = std::chrono::steady_clock::now() - start;
        std::cout << std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count() << std::endl;
    }
}

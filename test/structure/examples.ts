/** Runs example files in whatever runtime this is: paths as arguments, one JSON line each. */

console.assert = (condition?: boolean, ...data: unknown[]): void => {
  if (!condition) throw new Error(`Assertion failed ${data.join(" ")}`);
};

for (const path of process.argv.slice(2)) {
  let error: string | null = null;
  try {
    await import(path);
  } catch (thrown) {
    error = String(thrown);
  }
  console.log(JSON.stringify({ path, error }));
}

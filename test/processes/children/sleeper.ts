/** A child that lives until it is killed. */

console.log("up");
setInterval(() => {}, 1000);

// Loaded by Node before Azurite, which cannot watch its parent: standard input closes when the supervisor is gone, on
// every system. The event, unlike a signal, also runs Azurite's own graceful end on Windows.
"use strict";

process.stdin.on("end", () => {
  process.emit("SIGTERM");
  setTimeout(() => process.exit(1), 15000).unref();
});
process.stdin.on("error", () => {});
process.stdin.resume();
if (process.stdin.unref) process.stdin.unref();

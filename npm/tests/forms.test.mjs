/** The forms in which the package has its class, and what belongs to them. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { asScript, folder, forms, manifest, text } from "./package.mjs";

const members = (found) => Object.getOwnPropertyNames(found.prototype).sort();

test("each form has the same class", () => {
  const { SessionSocket } = asScript({});
  for (const form of Object.values(forms)) {
    assert.equal(form.name, "SessionSocket");
    assert.deepEqual(members(form), members(SessionSocket));
  }
});

test("a module has it by name too", async () => {
  const found = await import(new URL("sessionsock.mjs", folder));
  assert.equal(found.SessionSocket, found.default);
  assert.deepEqual(Object.keys(found).sort(), ["SessionSocket", "default"]);
});

test("a script adds one name to its page, and modules add none", () => {
  const before = { self: 1, URL, crypto, performance, setTimeout, clearTimeout, WebSocket: 1 };
  const added = Object.keys(asScript({})).filter((name) => !(name in before));
  assert.deepEqual(added, ["SessionSocket"]);
  assert.equal(globalThis.SessionSocket, undefined);
});

test("the module is the script", () => {
  assert.ok(text("sessionsock.mjs").includes(text("sessionsock.js")));
});

test("what the manifest names is there", () => {
  const named = [manifest.main, manifest.module, manifest.types, ...manifest.files];
  const look = (value) => {
    if (typeof value === "string") named.push(value);
    else Object.values(value).forEach(look);
  };
  look(manifest.exports);
  for (const name of named) assert.ok(existsSync(new URL(name, folder)), name);
});

test("it needs nothing else", () => {
  const kinds = Object.keys(manifest).filter((name) => /dependencies$/i.test(name));
  assert.deepEqual([...kinds, ...Object.keys(manifest.scripts ?? {})], []);
});

/** Where the built package is, and the class in each of its forms. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import vm from "node:vm";

export const folder = new URL(process.env.SESSIONSOCK_NPM ?? "../../build/npm/", import.meta.url);
export const text = (name) => readFileSync(new URL(name, folder), "utf8");
export const manifest = JSON.parse(text("package.json"));

const require = createRequire(import.meta.url);

/** What scripts of a page or worker find, which have neither modules nor Node.js. */
export const asScript = (globals) => {
  const page = { URL, crypto, performance, setTimeout, clearTimeout, WebSocket, ...globals };
  page.self = page;
  vm.createContext(page);
  vm.runInContext(text("sessionsock.js"), page);
  return page;
};

export const forms = {
  "by import": (await import(new URL("sessionsock.mjs", folder))).default,
  "by require": require(new URL("sessionsock.js", folder).pathname),
};

/** A WebSocket that goes nowhere; tests do what servers do. */
export class WebSocket {
  static made = [];

  constructor(url, protocols) {
    Object.assign(this, { url, protocols, readyState: 0, bufferedAmount: 0, protocol: "" });
    this.sent = [];
    WebSocket.made.push(this);
  }

  send(data) {
    this.sent.push(data);
  }

  close(code, reason) {
    this.closed = [code, reason];
  }

  /** The server took it. */
  opens() {
    this.readyState = 1;
    this.onopen();
  }

  says(data) {
    this.onmessage({ data });
  }

  /** As a server of ours does: with the word of this client before it. */
  tells(message) {
    this.says(`${this.word} ${message}`);
  }

  ends(code, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }

  get word() {
    return new URL(this.url).searchParams.get("sessionsock");
  }
}

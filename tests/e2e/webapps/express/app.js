/**
 * Express, with express-session in Redis by connect-redis, or in PostgreSQL by
 * connect-pg-simple:
 *
 *     node app.js KIND PORT-OF-REDIS
 *     node app.js postgresql URL
 *     node app.js cookie PORT-OF-REDIS COOKIE [CERTIFICATE KEY]
 *
 * With what is in COOKIE, as JSON, on its session cookie, below its path, and
 * with a certificate by https.
 */
"use strict";

const { randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const http = require("node:http");
const https = require("node:https");

const { RedisStore } = require("connect-redis");
const express = require("express");
const session = require("express-session");
const { Pool } = require("pg");
const { createClient } = require("redis");

const PostgreSQLStore = require("connect-pg-simple")(session);

const [kind, place, ownCookie = "{}", certificate, key] = process.argv.slice(2);

const SLOW = 60; // Milliseconds.

const SHOP = { maxAge: 600_000, sameSite: "lax", priority: "high", partitioned: true, path: "/" };

const SIGNED = { secret: Buffer.from("fffe0a80".repeat(8), "hex"), genid: () => `é ${randomUUID()};` };

/* What differs from the defaults: express-session's options, the store's. */
const KINDS = {
  redis: [{}, {}],
  resave: [{ resave: true }, {}],
  notouch: [{}, { disableTouch: true }],
  forever: [{}, { disableTTL: true }],
  brief: [{}, { ttl: 300 }],
  cookie: [{ cookie: JSON.parse(ownCookie) }, {}],
  aging: [{ cookie: { maxAge: 600_000 } }, {}],
  shop: [{ ...SIGNED, name: "shop.sid", rolling: true, cookie: SHOP }, { prefix: "shop:" }],
  rotated: [{ secret: ["for tests", "an old secret"] }, {}],
  postgresql: [{}, {}],
};

async function makeStore(options) {
  if (kind === "postgresql") {
    const pool = new Pool({ connectionString: place });
    return new PostgreSQLStore({ pool, pruneSessionInterval: false, ...options });
  }
  const client = createClient({ url: `redis://127.0.0.1:${place}` });
  await client.connect();
  return new RedisStore({ client, ...options });
}

function argument(req) {
  return decodeURIComponent(new URL(req.originalUrl, "http://localhost").search.slice(1));
}

function show(req, res) {
  const { cookie, ...own } = req.session;
  res.json(own);
}

function add(req, res) {
  const key = argument(req);
  req.session[key] = (req.session[key] || 0) + 1;
  show(req, res);
}

function remove(req, res) {
  delete req.session[argument(req)];
  show(req, res);
}

async function main() {
  const [options, storeOptions] = KINDS[kind];
  const store = await makeStore(storeOptions);
  const app = express();
  app.use(express.json({ strict: false }));
  app.use(session({ secret: "for tests", resave: false, saveUninitialized: false, store, ...options }));

  app.get("/session", show);
  app.post("/add", add);

  /* What is in the session may be no JSON to others. */
  app.post("/mark", (req, res) => {
    req.session[argument(req)] = true;
    res.json({});
  });

  app.post("/login", (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.user = argument(req);
      show(req, res);
    });
  });

  app.post("/logout", (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.json({})));
  });

  /* Have the browser keep the cookie: that long, or until then. */
  app.post("/remember", (req, res) => {
    req.session.cookie.maxAge = Number(argument(req));
    req.session.remembered = true;
    show(req, res);
  });
  app.post("/until", (req, res) => {
    req.session.cookie.expires = new Date(Number(argument(req)));
    req.session.remembered = true;
    show(req, res);
  });

  /* The names of what every session has. */
  app.get("/attributes", (req, res) => {
    const names = new Set();
    for (let each = req.session; each; each = Object.getPrototypeOf(each)) {
      Object.getOwnPropertyNames(each).forEach((name) => names.add(name));
    }
    Object.keys(req.session).forEach((name) => names.delete(name));
    res.json([...names]);
  });

  /* Take the session, and work on it for a while. */
  app.get("/slow", (req, res) => setTimeout(show, SLOW, req, res));
  app.post("/slow", (req, res) => setTimeout(add, SLOW, req, res));
  app.post("/delete", (req, res) => setTimeout(remove, SLOW, req, res));

  const site = express().use(options.cookie?.path ?? "/", app);
  const server = certificate
    ? https.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, site)
    : http.createServer(site);
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

main();

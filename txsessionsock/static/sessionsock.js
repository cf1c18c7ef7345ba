/**
 * SessionSocket: a WebSocket that has the session of its page, and comes back.
 *
 *     const socket = new SessionSocket("/ws");
 *     socket.on("message", (value) => console.log(value));
 *     socket.send({ hello: "world" });
 *
 * No dependencies and no build: `<script src="sessionsock.js">` gives
 * `window.SessionSocket`, `require("sessionsock")` the same class.
 *
 * The session is that of the cookie, which no script can read, and nothing of
 * it is ever part of the URL.
 */
(function (root) {
  "use strict";

  const EVENTS = ["connect", "message", "disconnect", "sinvalid", "reconnecting"];

  const NORMAL = 1000;
  const MOVED = 4307;
  const SECOND_CREDENTIAL = 4400;
  const NO_SESSION = 4401;
  const MISSING = "session-missing";
  const CREDENTIAL_TIMEOUT = 4408;

  // The server accepts a WebSocket before it has looked the session up, and is
  // silent when all is well.  So an open socket proves nothing by itself: the
  // session was accepted when a message came, or no refusal for this long.
  const PROOF = 1000;

  // Delays start over after a socket was open for this long.  More than PROOF,
  // or a server that accepts and then fails would be asked without mercy.
  const STEADY = 5000;

  // After 4307 the new cookie is on its way by another connection, and may be
  // a little later than the news.
  const MOVED_DELAY = 250;

  const DEFAULTS = {
    minDelay: 500,
    maxDelay: 30000,
    grace: 10000,
    queue: 100,
    protocols: [],
    sid: undefined,
  };

  /**
   * @typedef {Object} Options
   * @property {number} [minDelay=500] Up to how many milliseconds to wait
   *   before the first reconnection; twice as many before each further one,
   *   and each time a random part of that.
   * @property {number} [maxDelay=30000] What that never exceeds.
   * @property {number} [grace=10000] For how many milliseconds a session that
   *   ended is looked for under a new cookie, before `sinvalid`.
   * @property {number} [queue=100] How many messages to keep while away.
   * @property {string|string[]} [protocols] Subprotocols to offer.
   * @property {string|function(): string} [sid] The signed session id, or what
   *   returns it, for pages that cannot use the cookie.  It goes in the first
   *   message; the server has to allow that.
   */

  class SessionSocket {
    /**
     * Connect, and stay connected until `close()` or until there is no session.
     *
     * @param {string} url Absolute, or relative to the page: `"/ws"`.
     * @param {Options} [options]
     */
    constructor(url, options) {
      this.url = absolute(url);
      this._options = Object.assign({}, DEFAULTS, options);
      this._listeners = new Map(EVENTS.map((event) => [event, new Set()]));
      this._queue = [];
      this._socket = null;
      this._timer = null;
      this._attempt = 0;
      this._doubtUntil = 0;
      this._connected = false;
      this._over = false;
      this._online = () => this._resume();
      this._open();
      if (root.addEventListener) root.addEventListener("online", this._online);
    }

    /**
     * Whether a message sent now leaves now.
     *
     * @type {boolean}
     */
    get connected() {
      return this._connected && !this._over;
    }

    /**
     * Call a function at each event:
     *
     * - `connect()`: messages leave from here on.  After the session ended or
     *   moved, only when the server has taken the new one.
     * - `message(value)`: what is no JSON is an error on the console instead.
     * - `disconnect({ code, reason, willReconnect })`: once for each `connect`.
     * - `reconnecting({ attempt, delay })`: the next try is in `delay`
     *   milliseconds.
     * - `sinvalid(reason)`: there is no session, such as `"missing"`,
     *   `"unknown"`, `"expired"` or `"destroyed"`; the last event.
     *
     * @param {string} event
     * @param {function} f
     * @returns {this}
     */
    on(event, f) {
      this._of(event).add(f);
      return this;
    }

    /**
     * @param {string} event
     * @param {function} f
     * @returns {this}
     */
    off(event, f) {
      this._of(event).delete(f);
      return this;
    }

    /**
     * Send a value, as it is now, as JSON.  While away it is kept, in order,
     * and sent first thing after.  When as many as `queue` are kept, the new
     * one is refused: a queue with a hole in it would be worse.  What left just
     * before a connection was lost may not have arrived, and is not sent again.
     *
     * @param {*} value
     * @returns {boolean} Whether it was sent or kept.
     */
    send(value) {
      const text = JSON.stringify(value);
      if (text === undefined) throw new TypeError("not a JSON value");
      if (this._over) return false;
      // A browser drops, without a word, what is sent into a closing socket.
      if (this._connected && this._socket.readyState === 1) {
        this._socket.send(text);
        return true;
      }
      if (this._queue.length >= this._options.queue) return false;
      this._queue.push(text);
      return true;
    }

    /**
     * Disconnect for good.  What is still queued is dropped.
     *
     * @param {number} [code=1000] 1000, or one from 3000 to 4999.
     * @param {string} [reason]
     */
    close(code, reason) {
      if (this._socket) this._socket.close(code || NORMAL, reason || "");
      this._finish();
    }

    _open() {
      const socket = new WebSocket(this.url, this._options.protocols);
      const visit = { opened: 0, heard: false, proof: null };
      this._socket = socket;
      socket.onopen = () => this._opened(visit);
      socket.onmessage = (event) => this._heard(visit, event.data);
      socket.onclose = (event) => this._closed(visit, event);
    }

    _opened(visit) {
      visit.opened = performance.now();
      const { sid } = this._options;
      if (sid !== undefined) {
        const value = typeof sid === "function" ? sid() : sid;
        this._socket.send(JSON.stringify({ __sid: value, connect: 1 }));
      }
      // In doubt, what is queued waits for proof: it would be lost otherwise.
      if (this._doubtUntil) visit.proof = setTimeout(() => this._connect(), PROOF);
      else this._connect();
    }

    _connect() {
      if (this._connected || this._over) return;
      this._connected = true;
      for (const text of this._queue.splice(0)) this._socket.send(text);
      this._emit("connect");
    }

    _heard(visit, data) {
      visit.heard = true;
      this._connect();
      if (this._over) return;
      this._emit("message", JSON.parse(data));
    }

    _closed(visit, { code, reason }) {
      clearTimeout(visit.proof);
      this._socket = null;
      const delay = this._over ? null : this._delay(visit, code, reason);
      const invalid = delay === null && !this._over && code !== NORMAL;
      if (delay === null) this._finish();
      if (this._connected) {
        this._connected = false;
        this._emit("disconnect", { code, reason, willReconnect: delay !== null });
      }
      if (invalid) this._emit("sinvalid", reason.replace(/^session-/, ""));
      // A listener may have called close().
      if (delay !== null && !this._over) this._retry(delay);
    }

    /**
     * How many milliseconds to stay away after a close; null for ever.
     */
    _delay(visit, code, reason) {
      const now = performance.now();
      const { grace } = this._options;
      const open = visit.opened ? now - visit.opened : 0;
      if (open > STEADY) this._attempt = 0;
      if (visit.heard || open > grace) this._doubtUntil = 0;
      switch (code) {
        case NORMAL:
        case SECOND_CREDENTIAL:
        case CREDENTIAL_TIMEOUT:
          return null;
        case MOVED:
          this._doubtUntil = now + grace;
          return Math.random() * MOVED_DELAY;
        case NO_SESSION: {
          const accepted = visit.heard || open > PROOF;
          if (accepted && !this._doubtUntil) this._doubtUntil = now + grace;
          // The browser has no cookie any more: this was a logout, no login.
          if (!accepted && reason === MISSING) return null;
          const left = this._doubtUntil - now;
          return left > 0 ? Math.min(this._backoff(), left) : null;
        }
        default:
          return this._backoff();
      }
    }

    /**
     * Exponential, with full jitter: clients that were sent away together do
     * not come back together.
     */
    _backoff() {
      const { minDelay, maxDelay } = this._options;
      return Math.random() * Math.min(maxDelay, minDelay * 2 ** this._attempt);
    }

    _retry(delay) {
      this._attempt += 1;
      this._wait(delay);
    }

    _wait(delay) {
      clearTimeout(this._timer);
      this._timer = setTimeout(() => this._open(), delay);
      this._emit("reconnecting", { attempt: this._attempt, delay });
    }

    _resume() {
      if (!this._socket) this._wait(Math.random() * this._options.minDelay);
    }

    _finish() {
      this._over = true;
      clearTimeout(this._timer);
      if (root.removeEventListener) root.removeEventListener("online", this._online);
    }

    _of(event) {
      const listeners = this._listeners.get(event);
      if (!listeners) throw new TypeError(`no such event: ${event}`);
      return listeners;
    }

    _emit(event, ...details) {
      for (const f of [...this._of(event)]) {
        try {
          f(...details);
        } catch (error) {
          // To the console, but never in the way of the other listeners.
          setTimeout(() => {
            throw error;
          });
        }
      }
    }
  }

  function absolute(url) {
    const base = root.document ? root.document.baseURI : undefined;
    const result = new URL(url, base);
    result.protocol = result.protocol.replace(/^http/, "ws");
    return result.href;
  }

  if (typeof module === "object" && module.exports) module.exports = SessionSocket;
  else root.SessionSocket = SessionSocket;
})(typeof self === "undefined" ? globalThis : self);

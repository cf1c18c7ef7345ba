/**
 * SessionSocket: a WebSocket that has the session of its page, comes back, and
 * tells whose session it has.
 *
 *     const socket = new SessionSocket("/ws");
 *     socket.on("message", (value) => console.log(value));
 *     socket.on("identity", () => location.reload());
 *     socket.send({ hello: "world" });
 *
 * No dependencies and no build: `<script src="sessionsock.js">` gives
 * `window.SessionSocket`, in a worker `importScripts("sessionsock.js")` gives
 * `self.SessionSocket`, and `require("sessionsock")` the same class.  Its types
 * are in `sessionsock.d.ts`, and all of it is described in `docs/browser.md`.
 *
 * The session is that of the cookie, which no script can read, and nothing of
 * it is ever part of the URL.  Where the cookie does not come along with the
 * socket, `{ ticket: "/sessionsock/ticket" }` gets a ticket with it, for each try.
 */
(function (root) {
  "use strict";

  const EVENTS = ["connect", "message", "disconnect", "sinvalid", "reconnecting", "identity"];

  const NORMAL = 1000;
  const GOING_AWAY = 1001;
  const ABNORMAL = 1006;
  const MOVED = 4307;
  const SECOND_CREDENTIAL = 4400;
  const NO_SESSION = 4401;
  const MISSING = "session-missing";
  const CREDENTIAL_TIMEOUT = 4408;

  const CONNECTING = 0;
  const OPEN = 1;

  // The subprotocol that the server chooses beside the one with the ticket.
  const OURS = "sessionsock";
  const TICKET = "base64url.ticket.";

  const UNAUTHORIZED = 401;
  const UNAVAILABLE = [429, 502, 503, 504];

  // Our server says when it has found the session.  Others, and ours when not
  // asked, are silent when all is well: there the session was accepted when a
  // message came, or no refusal for this long.
  const PROOF = 1000;

  // Delays start over after a socket was open for this long.  More than PROOF,
  // or a server that accepts and then fails would be asked without mercy.
  const STEADY = 5000;

  // After 4307 the new cookie is on its way by another connection, and may be
  // a little later than the news.
  const MOVED_DELAY = 250;

  // How long the end of a connection may take.  Left to themselves, browsers
  // take minutes where nobody answers.
  const CLOSING = 3000;

  // How soon after something was sent there is a ping, which shows that it
  // arrived, and how long the answer takes before messages are kept back.
  const SOON = 2000;
  const DOUBT = 2000;

  // More bytes than the system takes at once, though nothing goes out any more.
  const LONG = 65536;

  // How much later than they should timers run if they have slept.
  const LATE = 1000;

  // Timers that are to run after 2**31 milliseconds run at once.
  const LONGEST = 2 ** 30;

  const PARAMETER = "sessionsock";

  const DEFAULTS = {
    minDelay: 500,
    maxDelay: 30000,
    grace: 10000,
    queue: 100,
    heartbeat: 20000,
    patience: 15000,
    messages: "json",
    protocols: [],
    sid: undefined,
    ticket: undefined,
  };

  /**
   * Finds out whether a connection still is one: scripts do not see the pings of
   * WebSockets, and a browser may call one open for hours that is dead.
   */
  class Heart {
    /**
     * @param {WebSocket} socket
     * @param {Options} options
     * @param {boolean} mustAnswer Whether the server is known to answer.
     * @param {Object} on What to do: `say(text)`, `answered()`, `dead()`.
     */
    constructor(socket, { heartbeat, patience }, mustAnswer, on) {
      this._socket = socket;
      this._interval = heartbeat;
      this._patience = patience;
      this._mustAnswer = mustAnswer;
      this._on = on;
      this._isBeating = false;
      this._isAsking = false;
      this._isSpared = false;
      this._isDoubtful = false;
      this._number = 0;
      this._slack = 0;
      this._buffered = 0;
      this._sent = null;
      if (!heartbeat) return;
      this._sent = [];
      this._await(patience);
    }

    /** Whether nobody knows if what is sent now arrives. */
    get isDoubtful() {
      return this._isDoubtful;
    }

    /** Whether the server answers pings. */
    get isBeating() {
      return this._isBeating;
    }

    /** What was sent and is not known to have arrived. */
    get unconfirmed() {
      return (this._sent || []).map(({ data }) => data);
    }

    /** The server will answer. */
    begin() {
      this._isBeating = true;
      this._sent = this._sent || [];
      clearTimeout(this._deadline);
      this._calm();
    }

    /**
     * Something was sent.
     *
     * @param {number} buffered By how much it made the socket's buffer longer.
     */
    sent(data, buffered) {
      this._buffered += buffered;
      if (!this._sent) return;
      this._sent.push({ data, until: this._number + 1 });
      if (this._isBeating && !this._isAsking && this._sent.length === 1) this._calm();
    }

    /** Something came. */
    heard() {
      if (this._isAsking) this._await(this._patience + this._slack);
      else if (!this._isBeating) this._mustAnswer = false;
    }

    /** Ask now: something may have happened to the connection. */
    probe() {
      if (!this._isBeating) return;
      this._isDoubtful = true;
      this._ask();
    }

    /** The answer to a ping. */
    pong(number) {
      this._sent = this._sent.filter(({ until }) => until > number);
      // An older one may have waited here since before whatever happened.
      if (number !== this._number) return;
      clearTimeout(this._deadline);
      this._isAsking = this._isSpared = false;
      this._slack = 0;
      this._trust();
      this._calm();
    }

    /** The server is there, but reads nothing for now. */
    busy(slack) {
      this._slack = slack;
      if (!this._isAsking) this._ask();
      this._await(this._patience + slack);
      this._trust();
    }

    stop() {
      clearTimeout(this._next);
      clearTimeout(this._doubting);
      clearTimeout(this._deadline);
      this._isBeating = false;
    }

    _ask() {
      clearTimeout(this._next);
      this._number += 1;
      this._on.say(`ping ${this._number}`);
      if (this._isAsking) return;
      this._isAsking = true;
      this._await(this._patience);
      this._doubting = setTimeout(() => {
        this._isDoubtful = true;
      }, DOUBT);
    }

    _trust() {
      clearTimeout(this._doubting);
      this._isDoubtful = false;
      this._on.answered();
    }

    _calm() {
      clearTimeout(this._next);
      const delay = this._sent.length ? Math.min(SOON, this._interval) : this._interval;
      this._next = setTimeout(() => this._ask(), delay);
    }

    _await(delay) {
      clearTimeout(this._deadline);
      this._buffered = this._socket.bufferedAmount;
      const due = performance.now() + delay;
      this._deadline = setTimeout(() => this._expire(performance.now() - due > LATE), delay);
    }

    /** Whether something long was sent, and still went out since the last time. */
    _goesOut() {
      // A ping leaves this buffer at once, wherever it gets then.
      const { bufferedAmount } = this._socket;
      const isLong = bufferedAmount > 0 || this._buffered > LONG;
      return isLong && bufferedAmount < this._buffered;
    }

    _expire(isLate) {
      if (!this._isBeating && !this._mustAnswer) {
        this._sent = null; // No server of ours, so nothing will be confirmed.
      } else if (this._goesOut()) {
        this._await(this._patience);
      } else if (isLate && !this._isSpared) {
        // All timers slept.  The answer may be here, and be told next.
        this._isSpared = true;
        this._await(LATE);
      } else {
        this._on.dead();
      }
    }
  }

  /**
   * @typedef {Object} Options
   * @property {number} [minDelay=500] Up to how many milliseconds to wait
   *   before the first reconnection; twice as many before each further one,
   *   and each time a random part of that.
   * @property {number} [maxDelay=30000] What that never exceeds.
   * @property {number} [grace=10000] For how many milliseconds a session that
   *   ended is looked for under a new cookie, before `sinvalid`.
   * @property {number} [queue=100] How many messages to keep while away.
   * @property {number} [heartbeat=20000] How many milliseconds after the last
   *   answer to ask the server whether it is there.  0 for never: then nothing
   *   is added to the address, nobody notices a dead connection before the
   *   browser does, and there is no `identity`.
   * @property {number} [patience=15000] How many milliseconds an answer may
   *   take, that to the handshake too, before the connection counts as dead.
   * @property {"json"|"raw"} [messages="json"] What messages are: JSON, or
   *   strings and `ArrayBuffer`s as they are.
   * @property {string|string[]} [protocols] Subprotocols to offer.  The server
   *   has to choose one, or browsers drop the connection.
   * @property {string|function(): string} [sid] The signed session id, or what
   *   returns it, for pages that cannot use the cookie.  It goes in the first
   *   message; the server has to allow that.
   * @property {string} [ticket] Where to get a ticket before each try, with the
   *   cookie of this page's own site, such as `"/sessionsock/ticket"`.
   */

  class SessionSocket {
    /**
     * Connect, and stay connected until `close()` or until there is no session.
     *
     * @param {string} url Absolute, or relative to the page: `"/ws"`.
     * @param {Options} [options]
     */
    constructor(url, options) {
      this._options = checked(options);
      this.url = absolute(url);
      this._token = token();
      this._listeners = new Map(EVENTS.map((event) => [event, new Set()]));
      this._queue = [];
      this._visit = null;
      this._timer = null;
      this._attempt = 0;
      this._doubtUntil = 0;
      this._connected = false;
      this._over = false;
      this._answers = false;
      this._who = null;
      this._wasMoved = false;
      this._isHidden = false;
      this._open();
      this._unwatch = this._watch();
    }

    /**
     * Whether a message sent now leaves now.  Not so while nobody knows whether
     * the connection is dead.
     *
     * @type {boolean}
     */
    get connected() {
      return this._connected && !this._over && this._isOpen;
    }

    /**
     * The subprotocol that the server chose, `""` for none.
     *
     * @type {string}
     */
    get protocol() {
      return this._visit ? this._visit.socket.protocol : "";
    }

    /**
     * Call a function at each event:
     *
     * - `connect()`: messages leave from here on.  When it comes back, only when
     *   the server has found the session.
     * - `message(value)`: what is no JSON is an error on the console instead.
     * - `identity({ was, is, dropped })`: the socket is somebody else's than
     *   before; `null` is nobody.  Comes before `connect`.
     * - `disconnect({ code, reason, willReconnect, unconfirmed })`: once for
     *   each `connect`.
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
     * Send a value, as it is now.  While away, or in doubt, it is kept, in order,
     * and sent first thing after.  When as many as `queue` are kept, the new one
     * is refused: a queue with a hole in it would be worse.  What left just
     * before a connection was lost may not have arrived, and is not sent again;
     * `disconnect` tells what that was.
     *
     * @param {*} value What `messages` says.
     * @returns {"sent"|"queued"|false} Whether it left, is kept, or was refused.
     */
    send(value) {
      const data = this._encode(value);
      if (this._over) return false;
      if (this.connected) {
        this._put(data);
        return "sent";
      }
      if (this._queue.length >= this._options.queue) return false;
      this._queue.push(data);
      return "queued";
    }

    /**
     * Disconnect for good.  What is still queued is dropped.
     *
     * @param {number} [code=1000] 1000, or one from 3000 to 4999.
     * @param {string} [reason]
     */
    close(code, reason) {
      const visit = this._visit;
      if (visit) {
        visit.socket.close(code || NORMAL, reason || "");
        clearTimeout(visit.timer);
        visit.timer = setTimeout(() => this._abandon(visit, ABNORMAL, ""), CLOSING);
      }
      this._finish();
    }

    get _isOpen() {
      // A browser drops, without a word, what is sent into a closing socket.
      const visit = this._visit;
      return visit !== null && visit.socket.readyState === OPEN && !visit.heart.isDoubtful;
    }

    // From the connection to the session.

    _open() {
      const { patience, protocols, ticket } = this._options;
      const visit = { began: performance.now(), opened: 0, isAccepted: false, proof: null };
      visit.heart = { isDoubtful: false, isBeating: false, stop() {} };
      if (ticket === undefined) this._dial(visit, protocols);
      else this._dialWithTicket(visit, ticket, [].concat(protocols));
      visit.timer = setTimeout(() => this._abandon(visit, ABNORMAL, "no answer"), patience);
      this._visit = visit;
    }

    _dial(visit, protocols) {
      const { heartbeat } = this._options;
      const address = heartbeat ? added(this.url, PARAMETER, this._token) : this.url;
      const socket = new WebSocket(address, protocols);
      visit.socket = socket;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => this._opened(visit);
      socket.onmessage = (event) => this._received(visit, event.data);
      socket.onclose = (event) => this._closed(visit, event);
    }

    /**
     * Get a ticket, and connect with it.
     */
    _dialWithTicket(visit, url, protocols) {
      const asking = new AbortController();
      // In place of the socket, until there is one.
      visit.socket = {
        readyState: CONNECTING,
        protocol: "",
        bufferedAmount: 0,
        close: () => asking.abort(),
      };
      ticketFrom(url, asking.signal).then(({ ticket, code = ABNORMAL, reason = "no ticket" }) => {
        if (this._visit !== visit) return;
        if (ticket === undefined || this._over) {
          this._closed(visit, { code, reason });
          return;
        }
        visit.hasTicket = true;
        this._dial(visit, [OURS, TICKET + ticket, ...protocols]);
      });
    }

    _opened(visit) {
      clearTimeout(visit.timer);
      visit.opened = performance.now();
      visit.heart = new Heart(visit.socket, this._options, this._answers, {
        say: (text) => this._say(visit, `${this._token} ${text}`),
        answered: () => this._flush(),
        dead: () => this._dead(visit),
      });
      const { sid } = this._options;
      if (sid !== undefined) {
        const value = typeof sid === "function" ? sid() : sid;
        this._say(visit, JSON.stringify({ __sid: value, connect: 1 }));
      }
      // What is queued may be for somebody else than whose session this is, or
      // for nobody: it waits until the server says, or for proof.
      if (this._answers) return;
      if (this._doubtUntil) visit.proof = setTimeout(() => this._connect(), PROOF);
      else this._connect();
    }

    _connect() {
      if (this._connected || this._over) return;
      this._connected = true;
      this._flush();
      this._emit("connect");
    }

    _flush() {
      while (this._queue.length && this.connected) this._put(this._queue.shift());
    }

    /**
     * Send what is no message of the application.
     */
    _say({ socket }, text) {
      // The server may have closed already, and its `close` event be the next: then
      // the browser drops this, and writes an error on the console.
      if (socket.readyState === OPEN) socket.send(text);
    }

    _put(data) {
      const { socket, heart } = this._visit;
      const before = socket.bufferedAmount;
      socket.send(data);
      heart.sent(data, socket.bufferedAmount - before);
    }

    // What comes.

    _received(visit, data) {
      visit.heart.heard();
      const prefix = `${this._token} `;
      if (typeof data === "string" && data.startsWith(prefix)) {
        this._told(visit, data.slice(prefix.length));
        return;
      }
      // A server that tells the session may say something without one, too.
      if (!visit.heart.isBeating) {
        visit.isAccepted = true;
        this._connect();
      }
      if (!this._over) this._emit("message", this._decode(data));
    }

    _told(visit, text) {
      const [word] = text.split(" ", 1);
      const detail = text.slice(word.length + 1);
      switch (word) {
        case "ready":
          this._answers = true;
          clearTimeout(visit.proof);
          visit.heart.begin();
          break;
        case "pong":
          visit.heart.pong(Number(detail));
          break;
        case "busy":
          visit.heart.busy(1000 * Number(detail));
          break;
        case "session":
          visit.isAccepted = true;
          this._identified(JSON.parse(detail));
          this._connect();
      }
    }

    _identified(who) {
      const before = this._who;
      const wasMoved = this._wasMoved;
      this._who = who;
      this._wasMoved = false;
      if (!before || this._over) return;
      const { identity: was } = before;
      const { identity: is } = who;
      // A guest is whoever has the session, also under a new id.
      const isOtherGuest = is === null && who.id !== before.id && !wasMoved;
      if (was === is && !isOtherGuest) return;
      // Who logs in goes on with what was begun before.
      const isLogin = was === null && is !== null;
      const dropped = isLogin ? [] : this._queue.splice(0).map((data) => this._decode(data));
      this._emit("identity", { was, is, dropped });
    }

    _encode(value) {
      if (this._options.messages === "json") {
        const text = JSON.stringify(value);
        if (text === undefined) throw new TypeError("not a JSON value");
        return text;
      }
      if (typeof value === "string" || isBlob(value)) return value;
      // Copies, since it may be sent later.
      if (value instanceof ArrayBuffer) return value.slice(0);
      if (ArrayBuffer.isView(value))
        return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice().buffer;
      throw new TypeError("a raw message is a string, an ArrayBuffer, a view of one, or a Blob");
    }

    _decode(data) {
      if (this._options.messages === "raw") return data;
      try {
        const isText = typeof data === "string";
        return JSON.parse(isText ? data : new TextDecoder("utf-8", { fatal: true }).decode(data));
      } catch (error) {
        throw new SyntaxError(`no JSON (for texts, say messages: "raw"): ${error.message}`);
      }
    }

    // How it ends, and goes on.

    _dead(visit) {
      // It may be another server by now, which does not answer at all.
      if (!visit.heart.isBeating) this._answers = false;
      this._abandon(visit, ABNORMAL, "no answer");
    }

    /**
     * Go on without waiting for the browser, which does not know yet.
     */
    _abandon(visit, code, reason) {
      const { socket } = visit;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      this._closed(visit, { code, reason });
    }

    _closed(visit, { code, reason }) {
      clearTimeout(visit.timer);
      clearTimeout(visit.proof);
      const { isBeating, unconfirmed } = visit.heart;
      visit.heart.stop();
      this._visit = null;
      const delay = this._over ? null : this._delay(visit, isBeating, code, reason);
      const invalid = delay === null && !this._over && code !== NORMAL;
      if (delay === null) this._finish();
      if (this._connected) {
        this._connected = false;
        const details = { code, reason, willReconnect: delay !== null };
        if (isBeating) details.unconfirmed = unconfirmed.map((data) => this._decode(data));
        this._emit("disconnect", details);
      }
      if (invalid) this._emit("sinvalid", reason.replace(/^session-/, ""));
      // A listener may have called close().
      if (delay !== null && !this._over && !this._isHidden) this._retry(delay);
    }

    /**
     * How many milliseconds to stay away after a close; null for ever.
     */
    _delay(visit, tells, code, reason) {
      const now = performance.now();
      const { grace } = this._options;
      const open = visit.opened ? now - visit.opened : 0;
      if (open > STEADY) this._attempt = 0;
      if (visit.isAccepted || (!tells && open > grace)) this._doubtUntil = 0;
      switch (code) {
        case NORMAL:
        case SECOND_CREDENTIAL:
        case CREDENTIAL_TIMEOUT:
          return null;
        case MOVED:
          this._wasMoved = true;
          this._doubtUntil = now + grace;
          return Math.random() * MOVED_DELAY;
        case NO_SESSION: {
          const accepted = visit.isAccepted || (!tells && open > PROOF);
          // The ticket may have been too late, or the session has a new id since: who
          // gives tickets knows better.
          const isDoubtful = accepted || visit.hasTicket;
          if (isDoubtful && !this._doubtUntil) this._doubtUntil = now + grace;
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

    _finish() {
      this._over = true;
      clearTimeout(this._timer);
      if (this._unwatch) this._unwatch();
    }

    // What the browser tells.

    /**
     * Have it told: each is a hint, and none of them a verdict.
     *
     * @returns {function} What ends that.
     */
    _watch() {
      const { document } = root;
      const look = () => this._look();
      const watched = [
        [root, "online", look],
        [root, "offline", () => this._probe()],
        [document, "visibilitychange", () => document.hidden || this._look()],
        [document, "resume", look],
        [document && root, "pagehide", (event) => event.persisted && this._hide()],
        [document && root, "pageshow", (event) => event.persisted && this._show()],
      ].filter(([target]) => target && target.addEventListener);
      for (const [target, event, f] of watched) target.addEventListener(event, f);
      return () => {
        for (const [target, event, f] of watched) target.removeEventListener(event, f);
      };
    }

    _look() {
      const visit = this._visit;
      // A handshake that began without a network may wait for long.
      const isStuck = visit && !visit.opened && performance.now() - visit.began > DOUBT;
      if (isStuck) this._abandon(visit, ABNORMAL, "no answer");
      if (!this._visit && !this._isHidden && !this._over)
        this._wait(Math.random() * this._options.minDelay);
      this._probe();
    }

    _probe() {
      if (this._visit && this._visit.opened) this._visit.heart.probe();
    }

    /**
     * The page is left, and kept for when its visitor comes back to it.  Some
     * browsers keep none that has a connection.
     */
    _hide() {
      this._isHidden = true;
      clearTimeout(this._timer);
      if (this._visit) this._abandon(this._visit, GOING_AWAY, "page hidden");
    }

    _show() {
      if (!this._isHidden) return;
      this._isHidden = false;
      this._retry(0);
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

  function checked(options) {
    const result = Object.assign({}, DEFAULTS);
    for (const [name, value] of Object.entries(options || {})) {
      if (!(name in DEFAULTS)) throw new TypeError(`no such option: ${name}`);
      if (value === undefined) continue;
      result[name] = value;
      if (typeof DEFAULTS[name] !== "number") continue;
      if (!(typeof value === "number" && value >= 0))
        throw new TypeError(`${name} is a number, not negative`);
      result[name] = Math.min(value, LONGEST);
    }
    if (result.patience === 0) throw new TypeError("patience is more than 0");
    if (result.messages !== "json" && result.messages !== "raw")
      throw new TypeError('messages are "json" or "raw"');
    if (result.ticket === undefined) return result;
    if (result.sid !== undefined) throw new TypeError("either sid or ticket");
    result.ticket = resolved(result.ticket).href;
    return result;
  }

  function resolved(url) {
    const { document, location, origin } = root;
    let base = document ? document.baseURI : location && location.href;
    // A worker made of a Blob has its origin only.
    if (base && base.startsWith("blob:")) base = origin;
    return new URL(url, base);
  }

  function absolute(url) {
    const result = resolved(url);
    result.protocol = result.protocol.replace(/^http/, "ws");
    return result.href;
  }

  /**
   * Never fails.
   *
   * @returns {Promise<{ticket: string}|{code: number, reason: string}|{}>} A ticket, or
   *   the code and reason with which a socket would have been closed.
   */
  async function ticketFrom(url, signal) {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "X-Sessionsock": "ticket" },
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal,
      });
      const { status } = response;
      if (!response.ok && status !== UNAUTHORIZED) {
        if (!UNAVAILABLE.includes(status)) complain(`no ticket at ${url}: ${status}`);
        return {};
      }
      const { ticket, reason } = await response.json();
      if (status === UNAUTHORIZED) return { code: NO_SESSION, reason: `session-${reason}` };
      return typeof ticket === "string" ? { ticket } : {};
    } catch {
      // There is no network, or what answered was something else.
      return {};
    }
  }

  /**
   * To the console, and in nobody's way.
   */
  function complain(text) {
    setTimeout(() => {
      throw new Error(text);
    });
  }

  function added(url, name, value) {
    const result = new URL(url);
    result.search += `${result.search ? "&" : "?"}${name}=${value}`;
    return result.href;
  }

  function token() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function isBlob(value) {
    return typeof Blob === "function" && value instanceof Blob;
  }

  if (typeof module === "object" && module.exports) module.exports = SessionSocket;
  else root.SessionSocket = SessionSocket;
})(typeof self === "undefined" ? globalThis : self);

<?php
// Decodes sessions, one a line, and tells what they are to PHP: what it would
// store again, what serialize() makes of them, and what json_encode() does.
ini_set("session.use_cookies", "0");
ini_set("session.cache_limiter", "");
while (($line = fgets(STDIN)) !== false) {
    // One that cannot be decoded is destroyed.
    if (session_status() !== PHP_SESSION_ACTIVE) {
        session_start();
    }
    $_SESSION = [];
    $isDecoded = session_decode(base64_decode($line));
    $json = json_encode((object) $_SESSION, JSON_PRESERVE_ZERO_FRACTION);
    fwrite(STDOUT, json_encode([
        $isDecoded,
        base64_encode((string) session_encode()),
        base64_encode(serialize($_SESSION)),
        $json === false ? null : $json,
    ]) . "\n");
}

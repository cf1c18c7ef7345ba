<?php
// An ordinary application of PHP's, with the sessions that the settings name.
session_start();
$argument = $_SERVER["QUERY_STRING"] ?? "";
switch ($_SERVER["REQUEST_METHOD"] . " " . $_SERVER["SCRIPT_NAME"]) {
    case "GET /session":
        break;
    case "POST /login":
        session_regenerate_id(true);
        $_SESSION["user"] = $argument;
        break;
    case "POST /slow":
        usleep(60000);
        // As ever after.
    case "POST /add":
        $_SESSION[$argument] = ($_SESSION[$argument] ?? 0) + 1;
        break;
    case "POST /mark":
        $_SESSION[$argument] = true;
        break;
    case "GET /slow":
        usleep(60000);
        break;
    case "POST /delete":
        usleep(60000);
        unset($_SESSION[$argument]);
        break;
    case "POST /run":
        eval(json_decode(file_get_contents("php://input")));
        break;
    case "POST /logout":
        $_SESSION = [];
        session_destroy();
        break;
    default:
        http_response_code(404);
}
header("Content-Type: application/json");
$flags = JSON_PRESERVE_ZERO_FRACTION | JSON_INVALID_UTF8_SUBSTITUTE;
// JSON has no INF: that is shown as 0.
echo json_encode((object) $_SESSION, $flags | JSON_PARTIAL_OUTPUT_ON_ERROR);

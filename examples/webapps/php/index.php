<?php

// A shop in PHP, with its sessions in Redis by phpredis.

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (str_starts_with($path, '/static/')) {
    return false;  // PHP's own server has them.
}
if ($path === '/') {
    readfile(__DIR__ . '/../page/index.html');
    return;
}

$redis = parse_url(getenv('REDIS_URL'));
ini_set('session.save_handler', 'redis');
$more = ['auth' => $redis['pass'] ?? null, 'database' => trim($redis['path'] ?? '', '/')];
$port = $redis['port'] ?? 6379;
ini_set('session.save_path', "tcp://{$redis['host']}:$port?" . http_build_query(array_filter($more)));
session_start([
    'use_strict_mode' => true,
    'cookie_httponly' => true,
    'cookie_samesite' => 'Lax',
]);
$sent = json_decode(file_get_contents('php://input'), true);

switch ("{$_SERVER['REQUEST_METHOD']} $path") {
    case 'GET /basket':
        break;
    case 'POST /basket':
        $goods = json_decode(file_get_contents(__DIR__ . '/../page/static/goods.json'), true);
        $good = $sent['good'];
        if (!isset($_SESSION['user']) || !in_array($good, array_column($goods, 'name'), true)) {
            http_response_code(403);
            return;
        }
        $_SESSION['basket'][$good] = ($_SESSION['basket'][$good] ?? 0) + 1;
        break;
    case 'POST /login':
        session_regenerate_id(true);
        $_SESSION['user'] = $sent['name'];
        break;
    case 'POST /logout':
        $_SESSION = [];
        session_destroy();
        setcookie(session_name(), '', 1, '/');
        break;
    default:
        http_response_code(404);
        return;
}

session_write_close();
header('Content-Type: application/json');
echo json_encode([
    'shop' => 'PHP',
    'user' => $_SESSION['user'] ?? null,
    'basket' => (object) ($_SESSION['basket'] ?? []),
]);

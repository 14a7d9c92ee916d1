"""Sources as nobody should write them: addresses, paths, and what is neither."""

from __future__ import annotations

from tests.hostile.case import SECRET, Case, longest_word

_LOGINS = (
    f"user:{SECRET}@", f"user:a/{SECRET}@", f"user:a:{SECRET}@", f"user:{SECRET}@b@",
    f"user:@{SECRET}@", f"us/er:{SECRET}@", f"user:a?{SECRET}@", f"user:a#{SECRET}@",
    f"{SECRET}@", f":{SECRET}@", f"user:%40{SECRET}%2F@", f"user:{SECRET}%@",
    f"user:{SECRET}\\@", f"user:[{SECRET}]@", f"user:{SECRET}://x@", f"user:\u00fc{SECRET}@",
)  # fmt: skip

_WITH_SECRETS = (
    *(f"{scheme}://{login}127.0.0.1:1/cam7" for login in _LOGINS for scheme in ("rtsp", "http")),
    *(f"RtSp://{login}:99999/cam8" for login in _LOGINS[:4]),
    *(f"{scheme}://user:{SECRET}@127.0.0.1/cam9" for scheme in
      ("ftp", "sftp", "rtmp", "srt", "gopher", "smb", "udp", "rtp", "ws", "HTTPX", "file")),
    *(f"http://127.0.0.1:1/cam6?{name}={SECRET}" for name in
      ("token", "password", "PWD", "api_key", "apikey", "auth", "sig", "signature", "user", "key",
       "access_token", "X-Amz-Signature", "a=b&pass", "a;passwd", "usr")),
    f"http://127.0.0.1:1/cam6#token={SECRET}", f"rtsp://127.0.0.1:1/cam6/user=u&password={SECRET}",
    f"rtsp://user:{SECRET}@127.0.0.1:99999999999999999999/cam5",
    f"rtsp://user:{SECRET}@127.0.0.1:-1/cam5", f"rtsp://user:{SECRET}@[::1/cam5",
    f"rtsp://user:{SECRET}@/cam5", f"rtsp://user:{SECRET}@127.0.0.1:1/cam5 x",
    f"rtsp://user:{SECRET}@127.0.0.1:1/cam5\r\nHost: x",
    f"rtsp://user:{SECRET}@cam\u202e5.invalid/",
    f"http://user:{SECRET}@127.0.0.1:1/cam5\x00.mjpg", f"http://user:{SECRET}@ho st/cam5",
    f"rtsp://user:{SECRET}@cam5.invalid/", f"http://user:{SECRET}@127.1:1/cam5",
    f"http:/user:{SECRET}@127.0.0.1/cam5", f"http:user:{SECRET}@127.0.0.1/cam5",
    f"rtsp:/user:{SECRET}@127.0.0.1/cam5", f"rtsp:\\\\user:{SECRET}@127.0.0.1\\cam5",
    f" rtsp://user:{SECRET}@127.0.0.1/cam5", f"rtsp//user:{SECRET}@127.0.0.1/cam5",
    f"'rtsp://user:{SECRET}@127.0.0.1/cam5'", f"rtsp ://user:{SECRET}@127.0.0.1/cam5",
    f"realtime:rtsp://user:{SECRET}@127.0.0.1/cam5", f"replay:rtsp://user:{SECRET}@127.0.0.1/cam5",
    f"replay:http://127.0.0.1:1/cam5?token={SECRET}", f"user:{SECRET}@127.0.0.1/cam5",
    f"1rtsp://user:{SECRET}@127.0.0.1/cam5", f"rtsp_x://user:{SECRET}@127.0.0.1/cam5",
    f"rtsp://user:{SECRET}@127.0.0.1/*.mp4", f"http://user:{SECRET}@127.0.0.1:1/list.txt",
    f"rtsp://user:{SECRET}@127.0.0.1:1/" + "a" * 9000,
)  # fmt: skip

_ADDRESSES = (
    "rtsp://", "rtsp:///", "rtsp:///cam", "http://", "https://", "http:///x", "http://:80/cam",
    "rtsp://:554", "rtsps://", "http://?x", "http://#x", "rtsp://@", "rtsp://@/", "rtsp://:@:/",
    "rtsp://127.0.0.1:-1/cam", "rtsp://127.0.0.1:99999/cam", "rtsp://127.0.0.1:65536/cam",
    "rtsp://127.0.0.1:0/cam", "rtsp://127.0.0.1:abc/cam", "rtsp://127.0.0.1:5 5/cam",
    "rtsp://127.0.0.1:\u0661/cam", "rtsp://127.0.0.1:0x50/cam", "http://127.0.0.1:1e2/cam",
    "http://127.0.0.1:+80/cam", "http://127.0.0.1::80/cam", "http://127.0.0.1:1:2/cam",
    "http://[::1/cam", "http://::1/cam", "http://[::1]:1/cam", "http://[::1]x/cam",
    "http://[fe80::1%25lo]:1/cam", "http://[::ffff:127.0.0.1]:1/cam", "http://[]/cam",
    "http://[v1.x]:1/cam", "http://[gggg::1]/cam", "http://[::1]:99999/cam", "http://[[::1]]/cam",
    "http://[127.0.0.1]/cam", "http://]/cam", "rtsp://[::]:1/cam", "http://127.0.0.1:1/%",
    "http://127.0.0.1:1/%zz", "http://127.0.0.1:1/%00cam", "http://127.0.0.1:1/%0d%0aX:%20y",
    "http://127.0.0.1:1/%ff%fe", "http://%31%32%37.0.0.1:1/cam", "http://%00/cam",
    "http://127.0.0.1:1/cam\x00.mp4", "rtsp://127.0.0.1:1/cam\x1b[2Jx", "rtsp://127.0.0.1\ncam/",
    "rtsp://127.0.0.1:1/cam\ttab", "rtsp://127.0.0.1:1/cam\x7f", "rtsp://127.0.0.1:1/cam\x9b31m",
    "rtsp://127.0.0.1:1/cam\u2028x", "rtsp://127.0.0.1:1/cam\u202e4pm",
    "http://cam\u2066a.invalid/", "rtsp://127.0.0.1:1/cam\udcff", "http://\ud800cam.invalid/",
    "http://c\u00e4m.invalid/", "http://xn--cam-.invalid/", "http://" + "a" * 64 + ".invalid/",
    "http://" + "a." * 400 + "x/", "http://a..b.invalid/cam", "http://.invalid/cam",
    "http://-cam.invalid/", "http://cam_.invalid/", "http://127.0.0.1:1/" + "a" * 70_000,
    "rtsp://" + "b" * 70_000, "http://2130706433:1/cam", "http://0x7f.1:1/cam",
    "http://0177.0.0.1:1/cam", "http://256.256.256.256:1/cam", "HTTP://127.0.0.1:1/cam",
    "RTSPS://127.0.0.1:1/cam", "hTtPs://127.0.0.1:1/cam", "file:///etc/passwd",
    "FILE:///etc/passwd", "file://localhost/etc/passwd", "gopher://127.0.0.1/", "concat://a|b",
    "subfile://x", "data://text", "crypto://x", "tcp://127.0.0.1:1", "udp://:1",
    "rtp://127.0.0.1:1", "rtmp://127.0.0.1/x", "srt://127.0.0.1:1", "tls://127.0.0.1:1",
    "unix:///tmp/x", "pipe://0", "fd://0", "cache://x", "async://x", "mms://x", "ftp://127.0.0.1/x",
    "ipfs://x", "hls://127.0.0.1/x", "tee://x", "icecast://x", "javascript://x", "x-y.z+1://a",
)  # fmt: skip

_PATHS = (
    "file:/etc/passwd", "file:etc/passwd", "concat:/etc/passwd|/etc/group", "concat:a.mp4|b.mp4",
    "subfile,,start,0,end,9,,:/etc/passwd", "crypto:/etc/passwd", "cache:/etc/passwd",
    "async:/etc/passwd", "data:video/mp4;base64,AAAA", "pipe:0", "pipe:", "fd:0", "md5:x",
    "lavfi:color", "ffrtmphttp:x", "hls+file:x", "hls+http://127.0.0.1:1/x", "tee:x", "rtsp:",
    "http:", "http:/", "ht\ttp:cam", "/etc/passwd", "/etc/shadow-nope", "/dev/zero", "/dev/null",
    "/dev/urandom", "/dev/tty", "/dev/stdin", "/proc/self/mem", "/proc/self/environ", "/proc/kmsg",
    "/proc/self/fd/0", "/sys/kernel", "/dev/video99999999999999999999", "/dev/video-1",
    "/dev/video٣", "camera", "camera-1", "camera99999999999", "camera1e3", "camera0x1",
    "cam\x00era0", "camera٣", "99999999999999999999", "-1", "--", "-0", "+0", "0x0", "1.5", "csi",
    "csi-1", "csi99", "csi99999999999999999999", "csi0!filesink", "csi0 ! filesink location=cam",
    "csi٣", "/dev/v4l/by-id/../../etc/passwd", "/dev/v4l/by-id/nope", "/dev/v4l/by-id/",
    "/dev/v4l/by-path/x", "", " ", "\t", "\n", ".", "..", "/", "~", "~nobody-there/x.mp4", "~/",
    "~\x00", "\x00", "cam\x00.mp4", "cam\x1b[31m.mp4", "cam\x1b]0;title\x07.mp4", "cam\n.mp4",
    "cam\r\nerror: x.mp4", "cam\b\b\b.mp4", "cam\u202e4pm.exe", "cam\u2028x.mp4", "cam\udcff.mp4",
    "\udcff\udcfe", "cam\x85x.mp4", "cam\ufeff.mp4", "a" * 300 + ".mp4", "a/" * 3000 + "x.mp4",
    "a" * 100_000, "../" * 2000 + "nope.mp4", "nope/*.mp4", "[", "[]", "[!", "*", "?",
    "**/*/**/*/**", "nope[z-a].mp4", "no**pe/**", "*\x00*", "*\udcff*.mp4", "*" * 5000,
    "/proc/self/fd/*", "/dev/v*deo", "[" * 3000, "{a,b}.mp4", "nope/**/x", "img_%d.png",
    "img_%05d.png", "nope/img_%05d.png", "img_%0d.png", "img_%99d.png", "img_%n.png",
    "img_%s%s%s.png", "%d%d.png", "%d.png", "img_%٣d.png", "img_%05d\x00.png", "/dev/null/%d.png",
    "nope.txt", "/dev/zero.txt", "nope.lst", "\x00.txt", "nope.list", "a" * 300 + ".txt", ".txt",
    "realtime:", "realtime:nope.mp4", "realtime:camera0", "realtime:realtime:nope.mp4",
    "realtime:http://127.0.0.1:1/cam", "realtime:-", "realtime:/dev/zero", "realtime:\x00",
    "replay:", "replay:nope.mkv", "replay:/dev/zero", "replay:/etc/passwd", "replay:.",
    "replay:replay:nope.mkv", "replay:camera0", "replay:-", "replay:~nobody-there/x",
    "replay:a\x00", "replay:\x1b[31mcam", "replay:" + "a" * 300, "replay:\udcff", "replay:demo",
    "demo:", "demo.mp4", "DEMO", "demo\x00", "-\x00", "--source", "$(id)", "`id`", "; id", "| id",
    "%s%n", "CON", "C:\\nope.mp4", "\\\\x\\y",
)  # fmt: skip

_MORE = {
    # The folder is what is wrong.
    "nope/img_%05d.png": "nope",
    "/dev/null/%d.png": "/dev/null",
    "realtime:\x00": "null byte",
    "realtime:": "realtime:",
    "replay:": "replay:",
}

WORDS = (*_WITH_SECRETS, *_ADDRESSES, *_PATHS)
"""None of them is a source, on any machine but for those with that very camera."""


def _named(word: str) -> str:
    told = word.replace("realtime:", "").replace("replay:", "")
    return _MORE.get(word, longest_word(told))


def recorded() -> tuple[Case, ...]:
    """Every word given to a command."""
    return tuple(
        Case(
            name=f"{number}: {word[:60]!a}",
            words=(
                *("record", "-o", "out.mkv", "--retries", "0", "--open-timeout", "1"),
                *("--read-timeout", "1", f"--source={word}"),
            ),
            named=_named(word),
        )
        for number, word in enumerate(WORDS)
    )

#!/usr/bin/env python3
"""Draws assets/dashboard.svg from the real screen: runs `llama-orch demo` in tmux and reads it back.

Usage: assets/draw-dashboard.py [path of llama-orch]   (needs tmux; takes about half a minute)
"""

import html
import pathlib
import re
import subprocess
import sys
import time
import unicodedata

WIDTH, HEIGHT = 120, 36
CELL_WIDTH, CELL_HEIGHT = 8.4, 18
GROUND, INK = "#16161e", "#c0caf5"
SOCKET = f"llama-orch-picture-{time.time_ns()}"
# What the picture should show before it is taken.
WANTED = ["failed: out of", "backoff", "unhealthy", "tok/s"]


def tmux(*words):
    done = subprocess.run(["tmux", "-L", SOCKET, *words], capture_output=True, text=True, check=True)
    return done.stdout


def colour(codes, start):
    """Reads 38;2;r;g;b or 38;5;n after its first number; returns (colour, numbers used)."""
    if codes[start + 1] == 2:
        return "#%02x%02x%02x" % tuple(codes[start + 2 : start + 5]), 5
    number = codes[start + 2]
    if number >= 232:
        level = 8 + (number - 232) * 10
        return "#%02x%02x%02x" % (level, level, level), 3
    steps = [0, 95, 135, 175, 215, 255]
    number = max(number - 16, 0)
    return "#%02x%02x%02x" % (steps[number // 36], steps[number // 6 % 6], steps[number % 6]), 3


def apply(style, text):
    codes = [int(code or 0) for code in text.split(";")]
    place = 0
    while place < len(codes):
        code, used = codes[place], 1
        if code == 0:
            style = {}
        elif code == 1:
            style = {**style, "bold": True}
        elif code == 2:
            style = {**style, "dim": True}
        elif code == 7:
            style = {**style, "reverse": True}
        elif code in (38, 48):
            value, used = colour(codes, place)
            style = {**style, "fg" if code == 38 else "bg": value}
        elif code == 39:
            style = {key: value for key, value in style.items() if key != "fg"}
        elif code == 49:
            style = {key: value for key, value in style.items() if key != "bg"}
        place += used
    return style


def spans(line):
    style, column = {}, 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        sequence = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if sequence:
            style = apply(style, sequence[1])
        elif part:
            yield column, part, style
            column += sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in part)


def draw(screen):
    width, height = WIDTH * CELL_WIDTH + 24, HEIGHT * CELL_HEIGHT + 24
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
        f'<rect width="100%" height="100%" rx="10" fill="{GROUND}"/>',
    ]
    for row, line in enumerate(screen.split("\n")[:HEIGHT]):
        top = 12 + row * CELL_HEIGHT
        for column, text, style in spans(line):
            ink, ground = style.get("fg", INK), style.get("bg")
            if style.get("reverse"):
                ink, ground = ground or GROUND, style.get("fg", INK)
            left, length = 12 + column * CELL_WIDTH, len(text) * CELL_WIDTH
            if ground:
                out.append(f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{CELL_HEIGHT}" fill="{ground}"/>')
            if text.strip():
                weight = ' font-weight="bold"' if style.get("bold") else ""
                fade = ' opacity="0.6"' if style.get("dim") else ""
                out.append(
                    f'<text x="{left:.1f}" y="{top + 13.5}" fill="{ink}" textLength="{length:.1f}" '
                    f'xml:space="preserve"{weight}{fade}>{html.escape(text)}</text>'
                )
    return "\n".join(out + ["</svg>", ""])


def main():
    folder = pathlib.Path(__file__).resolve().parent
    program = sys.argv[1] if len(sys.argv) > 1 else str(folder.parent / "target/debug/llama-orch")
    variables = "env COLORTERM=truecolor TERM=xterm-256color LC_ALL=C.UTF-8"
    tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), f"{variables} {program} demo")
    try:
        tmux("set-option", "-g", "status", "off")
        deadline = time.time() + 120
        while not all(word in tmux("capture-pane", "-p") for word in WANTED):
            if time.time() > deadline:
                sys.exit("the demo did not come to show every state")
            time.sleep(0.5)
        time.sleep(25)  # for a minute's graphs to have something to show
        screen = tmux("capture-pane", "-p", "-e", "-N")
        tmux("send-keys", "q")
        time.sleep(5)
    finally:
        subprocess.run(["tmux", "-L", SOCKET, "kill-server"], capture_output=True, check=False)
    (folder / "dashboard.svg").write_text(draw(screen))


main()

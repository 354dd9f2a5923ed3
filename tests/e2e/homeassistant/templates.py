"""What Home Assistant makes of value templates: every template with every payload, in its own environment. Prints JSON; `test_home_assistant.py` compares it
with `crates/wire/cases/value_template/judged.json`, and a test of `andon-wire` holds our templates to that file. Made anew by
`<venv>/bin/python tests/e2e/homeassistant/templates.py > crates/wire/cases/value_template/judged.json`."""

import json
import logging
import sys

logging.disable(logging.CRITICAL)

from homeassistant.helpers.template import TemplateEnvironment  # noqa: E402
from homeassistant.util.json import JSON_DECODE_EXCEPTIONS, json_loads  # noqa: E402

TEMPLATES = """
{{ value }}
{{value}}
{{ value | float }}
{{ value | int }}
{{ value | float(0) }}
{{ value | int(7) }}
{{ value | float / 10 }}
{{ value | float * 0.1 }}
{{ (value | float / 1000) | round(2) }}
{{ value | float | round }}
{{ value | round(1) }}
{{ value | lower }}
{{ value | upper | trim }}
{{ value }} W
{{ value_json }}
{{ value_json.t }}
{{ value_json['t'] }}
{{ value_json["t"] }}
{{ value_json.t | float }}
{{ value_json.t | int }}
{{ value_json.t | int(-1) }}
{{ value_json.t | round(1) }}
{{ value_json.t | round }}
{{ value_json.t | float(0) | round(2) }}
{{ value_json.t | abs }}
{{ value_json.t / 10 }}
{{ value_json.t * 2 }}
{{ value_json.t + 1 }}
{{ value_json.t - 0.5 }}
{{ value_json.t // 3 }}
{{ value_json.t % 3 }}
{{ value_json.t // -3 }}
{{ value_json.t % -3 }}
{{ value_json.t // 0.7 }}
{{ value_json.t % 0.7 }}
{{ -value_json.t }}
{{ -value_json.t | abs }}
{{ value_json.t ~ '%' }}
{{ value_json.t + '%' }}
{{ value_json.t | default('none given') }}
{{ value_json.t | default(0) | float }}
{{ value_json.t | d(none) }}
{{ value_json.t | default('x', true) }}
{{ value_json.t | is_defined }}
{{ value_json.t.u }}
{{ value_json.t.u.v | float / 4 }}
{{ value_json['t']['u'] | default('nothing') }}
{{ value_json.l[0] }}
{{ value_json.l[1].x }}
{{ value_json['a key'] }}
{{ value_json.t > 5 }}
{{ value_json.t >= 1.5 and value_json.t < 100 }}
{{ value_json.t == 1 }}
{{ value_json.t != 'ON' }}
{{ 'ON' if value_json.t > 5 else 'OFF' }}
{{ 'ON' if value_json.t else 'OFF' }}
{{ 'ON' if value_json.t == true else 'OFF' }}
{{ 'on' if value_json.t }}
{{ value_json.t or 'else' }}
{{ not value_json.t }}
{{ value_json.t is defined }}
{{ value_json.t is not defined }}
{{ value_json.t is none }}
{{ value_json.t if value_json.t is not none else 0 }}
{{ 1 + 2 * 3 - value_json.t | int }}
{{ (value_json.t | float * 1.8 + 32) | round(1) }}
{{ value_json.t | float < 0.1 or value_json.t | float > 1000 }}
{{- value_json.t -}}
{{ value_json.t }}{{ value_json.u }}
{{ none }}
{{ 1 if value == 'ON' else 0 }}
""".strip().splitlines()

NUMBERS = ["0", "1", "-1", "7", "-7", "21", "21.5", "-21.5", "0.1", "0.5", "1.5", "2.5", "2.675", "1e3", "1e16", "1.5e-5", "123456789", "1e22", "100.0",
           "-0.0", "9007199254740993", "5e-324", "0.30000000000000004", "1234.5678"]
PAYLOADS = [
    *NUMBERS,
    "", " ", "ON", "off", " 21.5 ", "+5", "5.", ".5", "abc", "12abc", "None", "true", "null", "nan", "inf", "1_000", "Ärger", '"quoted"', "[1, 2]", "{",
    *[json.dumps({"t": 0}).replace("0", number) for number in NUMBERS if number not in ("1e22",)],
    *[json.dumps({"t": t}) for t in ["21.5", "21", "ON", "", " 3 ", "abc", "None", "1e3", "1_0", True, False, None, [], [1], {}, {"u": 5}, {"u": {"v": "8"}},
                                     {"u": None}, {"u": {"v": 2.5}}]],
    json.dumps({"u": 5}), json.dumps({"l": [1, {"x": 2}]}), json.dumps({"l": []}), json.dumps({"a key": "value", "t": 3, "u": 4}), "{}",
]


def result(template, payload: str):
    """The text without blanks at its ends; null where it is an error."""
    variables = {"value": payload}
    try:
        variables["value_json"] = json_loads(payload)
    except JSON_DECODE_EXCEPTIONS:
        pass
    try:
        return template.render(variables).strip()
    except Exception:  # noqa: BLE001 - whatever it is, the message is dropped
        return None


def main():
    environment = TemplateEnvironment(None, limited=False, strict=False, log_fn=lambda *_: None)
    results = {text: [result(environment.from_string(text), payload) for payload in PAYLOADS] for text in TEMPLATES}
    lines = ",\n".join(f"  {json.dumps(text)}: {json.dumps(row)}" for text, row in results.items())
    sys.stdout.write('{"payloads": ' + json.dumps(PAYLOADS) + ',\n"results": {\n' + lines + "\n}}\n")


main()

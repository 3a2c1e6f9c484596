#!/usr/bin/python3
"""gyro-sim's card commands against a real node: what people type, and what they see.

card.py BUILD_DIR."""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))
os.environ["GYRO_BUILD_DIR"] = sys.argv[1]
from node import Site, build_dir
from tap import Tap

S1, S2 = "460001000000001", "460001000000002"
CATALOGUE = """
INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1);
INSERT INTO gyro.app (name) VALUES ('video');
INSERT INTO gyro.app_target SELECT app_id, unnest(ARRAY[20, 101]) FROM gyro.app;
INSERT INTO gyro.app_url SELECT app_id, 'video.spec.test' FROM gyro.app;
INSERT INTO gyro.app_flow (app_id, network) SELECT app_id, '192.0.2.0/24' FROM gyro.app;
INSERT INTO gyro.product (code, price, currency, quota, audience_id, directed)
    SELECT 'pass', 30000000, 156, 104857600, audience_id, 1 FROM gyro.audience;
INSERT INTO gyro.product (code, price, currency, quota, audience_id, settle, usage_price, usage_block)
    SELECT 'pool', 0, 156, 104857600, audience_id, 2, 100000, 1048576 FROM gyro.audience;
"""


def main():
    tap = Tap()
    with Site() as site:
        site.pg.query(CATALOGUE)

        def sim(command, *words, who=S1):
            return subprocess.run([build_dir() / "bin/gyro-sim", command, "--connect", f"127.0.0.1:{site.node.port}", "--imsi", who,
                                   *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

        def says(run, status, texts, name):
            tap.ok(run.returncode == status and all(t in run.stdout for t in texts), name, f"{run.returncode}\n{run.stdout}{run.stderr}")

        def told(run):
            return json.loads(run.stdout)["requests"]

        says(sim("purchase", "--product", "pass", "--price"), 0, ["event 0  2001", "price          30.00 of currency 156"], "what it costs")
        says(sim("purchase", "--product", "pass", "--check"), 0, ["credit         enough"], "whether there is money for it")
        says(sim("purchase", "--product", "pass", "--check", who=S2), 1, ["credit         not enough"], "or not: exit status 1")
        run = sim("purchase", "--product", "pass", "--purchase-id", "p-1")
        says(run, 0, ["initial 0  2001 DIAMETER_SUCCESS", "held           30.00 of currency 156", "confirm within 300 s",
                      "termination 1  2001", "paid           30.00", "purchase       p-1", "card           c"], "a purchase, step by step")
        tap.equal(site.money(1), (70_000_000, 0), "and paid")
        lines = told(sim("purchase", "--product", "pass", "--update", "--json"))
        tap.equal([(r["request"], r["number"], r["code"], "card" in r) for r in lines],
                  [("initial", 0, 2001, False), ("update", 1, 2001, True), ("termination", 2, 2001, True)], "confirmed by a CCR-U, as JSON")
        tap.equal((lines[0]["held"], lines[2]["cost"]), ({"micros": 30_000_000, "currency": 156},) * 2, "with its money")
        card = lines[2]["card"]
        says(sim("purchase", "--product", "pass", "--purchase-id", "p-2", "--abandon"), 0, ["termination 1  2001"], "a purchase abandoned")
        tap.equal(site.pg.value("SELECT state FROM gyro.purchase_state WHERE purchase_id = 'p-2'"), "CANCELLED", "is cancelled")
        run = sim("purchase", "--product", "pass", "--event", "--for", f"imsi:{S2}")
        says(run, 0, ["event 0  2001", "paid           30.00"], "in one request, for somebody else")
        says(sim("purchase", "--product", "pass", "--event"), 1, ["4012 DIAMETER_CREDIT_LIMIT_REACHED", "because        not enough money"], "a refusal says why")
        says(sim("purchase", "--product", "nothing"), 1, ["5004", "Failed-AVP     Product-Id"], "and shows the AVP")
        tap.equal(site.money(1), (10_000_000, 0), "three were paid")

        says(sim("bind", "--card", card), 0, [f"card           {card}", "user class     SPECIFIED", "serves         every Rating-Group", "priority       1"],
             "bound, general")
        says(sim("bind", "--card", card, "--for", f"imsi:{S2}"), 1, ["4010", "because        card is bound already"], "not to another one")
        says(sim("priority", "--card", card, "--priority", "9"), 0, ["priority       9"], "its priority")
        says(sim("unbind", "--card", card), 0, [f"card           {card}"], "unbound")
        for words in (["--app", "video"], ["--url", "https://www.video.spec.test/1"], ["--flow", "permit out ip from 192.0.2.9 to any"]):
            says(sim("bind", "--card", card, *words), 0, ["serves         Rating-Group 20, 101"], f"bound, directed by {words[0]}")
            sim("unbind", "--card", card)
        says(sim("bind", "--card", card, "--app", "none"), 1, ["5004", "because        no such app", "Failed-AVP     Directed-App-Id"], "an unknown app")

        pool = told(sim("purchase", "--product", "pool", "--event", "--json"))[0]["card"]
        sim("bind", "--card", pool)
        run = subprocess.run([build_dir() / "bin/gyro-sim", "session", "--connect", f"127.0.0.1:{site.node.port}", "--imsi", S1,
                              "--rating-group", "10", "--use", "7M"], capture_output=True, text=True, timeout=60)
        tap.equal(run.returncode, 0, "a session that uses it")
        says(sim("statistics"), 0, ["CARD", "RATING-GROUP", "WINDOW", pool, "7 MiB", "0.70"], "statistics, a table")
        windows = told(sim("statistics", "--card", pool, "--json"))[0]["statistics"]
        tap.equal([(w["card"], w["rating_group"], w["octets"], w["amount_micros"]) for w in windows], [(pool, 10, 7 << 20, 700_000)],
                  "the same window, as JSON")
        tap.ok(all(1_700_000_000 < w["from_s"] <= w["until_s"] for w in windows), "with its times", windows)

        says(sim("refund", "--purchase-id", "p-1"), 0, ["given back     30.00"], "a refund")
        tap.equal(site.money(1), (39_300_000, 0), "is paid back")
        says(sim("cancel", "--purchase-id", "p-1"), 0, ["event 0  2001"], "to cancel what is over does no harm")
        run = sim("purchase", "--product", "pool", "--dump")
        says(run, 0, ["Product-Id (2, vendor 32473) V- \"pool\"", "Card-Operation (1, vendor 32473) V- 0 PURCHASE"], "--dump shows every AVP by name")
        for words in (["purchase"], ["bind"], ["cancel"], ["priority", "--card", "c1"], ["bind", "--card", "c1", "--for", "nobody"]):
            tap.equal(sim(*words).returncode, 2, f"wrong usage: {' '.join(words)}")
        for command in ("purchase", "bind", "unbind", "priority", "statistics", "cancel", "refund"):
            says(sim(command, "--help"), 0, [f"usage: gyro-sim {command}", "example"], f"help of {command}")
        site.check(tap)
    tap.done()


if __name__ == "__main__":
    main()

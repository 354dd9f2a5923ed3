"""The plant model as documents: dry run, apply, diff, export, conflict and roll-back, by the command line and by HTTP."""

from harness import Case, wait_until
from test_modbus import PLANT

GOOD = PLANT.replace("ENDPOINT", "127.0.0.1:9").replace('title = "Filler, PLC"', 'title = "Filler, PLC"\nenabled = false')


class Documents(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.folder = self.temporary_folder()

    def write(self, name: str, text: str):
        path = self.folder / name
        path.write_text(text)
        return path

    def cli(self, *arguments, code: int = 0) -> str:
        done = self.here.cli(*arguments)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_a_dry_run_tells_and_changes_nothing(self):
        path = self.write("line.toml", GOOD)
        for command in (["apply", "--dry-run", path], ["diff", path]):
            text = self.cli(*command)
            self.assertIn("+ tag works/hall/line/filler/speed", text)
            self.assertEqual(self.here.plant_version(), 0)
        self.assertEqual(self.here.get("/api/plant").json["tags"], [])

    def test_a_broken_document_is_refused_with_line_and_remedy_and_nothing_is_applied(self):
        lines = GOOD.splitlines()
        for what, old, new in (
            ("a misspelt word", 'level = "work_unit"', 'levle = "work_unit"'),
            ("an impossible limit", "limit = 80", 'limit = "much"'),
            ("a register that cannot be", 'address = 0, type = "u16"', 'address = 70000, type = "u16"'),
            ("a tag that is not there", 'tag = "works/hall/line/filler/pressure"', 'tag = "works/hall/line/filler/presure"'),
            ("a type that is none", 'type = "string"', 'type = "text"'),
            ("not TOML", 'path = "works/hall"', 'path = "works/hall'),
        ):
            with self.subTest(what):
                at = next(n for n, line in enumerate(lines, 1) if old in line)
                path = self.write("broken.toml", "\n".join([*lines[: at - 1], lines[at - 1].replace(old, new), *lines[at:]]))
                for command in (["apply", path], ["apply", "--dry-run", path], ["diff", path]):
                    text = self.cli(*command, code=2)
                    self.assertRegex(text, rf"broken\.toml:{at}:\d+: ")
                    self.assertIn("try: ", text)
                    self.assertNotIn("applied: ", text)
        self.assertEqual(self.here.plant_version(), 0)

    def test_what_is_exported_can_be_applied_elsewhere_and_changes_nothing_here(self):
        self.cli("apply", self.write("line.toml", GOOD), "--reason", "first")
        exported = self.cli("export")
        self.assertIn("nothing changes", self.cli("apply", self.write("same.toml", exported), "--prune"))
        self.assertIn("nothing changes", self.cli("apply", self.write("line.toml", GOOD)), "the same document again")
        self.assertEqual(self.here.plant_version(), 1)
        other = self.node()
        other.apply(exported)
        self.assertEqual(other.get("/api/plant/export").text, exported)
        self.here.kill()
        self.here.start()
        self.assertEqual(self.cli("export"), exported, "after a kill")

    def test_who_was_slower_is_told_and_overwrites_nothing(self):
        version = self.here.apply(GOOD)
        change = lambda text: [{"name": "a.toml", "text": GOOD.replace('title = "Speed"', f'title = "{text}"')}]
        first = self.here.post("/api/plant/apply", {"documents": change("Ada"), "expected_version": version})
        second = self.here.post("/api/plant/apply", {"documents": change("Bob"), "expected_version": version})
        self.assertEqual((first.status, second.status), (200, 409), second)
        self.assertTrue(second.json["remedy"])
        titles = [t["title"] for t in self.here.get("/api/plant").json["tags"] if t["path"].endswith("/speed")]
        self.assertEqual(titles, ["Ada"])

    def test_prune_removes_what_the_document_leaves_out_and_only_prune_does(self):
        self.here.apply(GOOD)
        small = self.write("small.toml", GOOD[: GOOD.index("[[alarm]]")])
        self.assertIn("nothing changes", self.cli("apply", small))
        text = self.cli("apply", small, "--prune")
        self.assertIn("- alarm works/hall/line/filler/pressure:high", text)
        self.assertIn("- connector filler", text)
        self.assertEqual(self.here.get("/api/plant").json["alarms"], [])

    def test_a_roll_back_is_a_new_version_that_equals_the_old_one(self):
        self.here.apply(GOOD, reason="first")
        before = self.cli("export")
        self.here.apply(GOOD.replace("limit = 80", "limit = 90"), reason="second")
        self.assertNotEqual(self.cli("export"), before)
        body = {"version": 1, "expected_version": 2, "reason": "the limit was right"}
        answer = self.here.post("/api/plant/rollback", body)
        self.assertEqual((answer.status, answer.json), (200, {"version": 3}), answer)
        self.assertEqual(self.cli("export"), before)
        versions = self.here.get("/api/plant/versions").json["versions"]
        self.assertEqual([v["version"] for v in versions], [3, 2, 1])
        self.assertIn("the limit was right", versions[0]["reason"])
        self.assertEqual(self.here.post("/api/plant/rollback", body).status, 409, "against a version that is gone")
        self.assertEqual(self.here.post("/api/plant/rollback", {**body, "version": 77, "expected_version": 3}).status, 404)
        trail = lambda: [e["detail"]["version"] for e in self.here.timeline(kind="configuration")]
        wait_until("each change is in the timeline", lambda: trail() == [3, 2, 1])

    def test_a_renamed_tag_keeps_its_history(self):
        self.here.apply(GOOD)
        tag = next(t for t in self.here.get("/api/plant").json["tags"] if t["path"].endswith("/level"))
        self.assertEqual(self.here.post("/api/ingest?precision=ms", "works/hall/line/filler level=7i 1700000000000").status, 204)
        self.here.apply(
            f'[[tag]]\nid = "{tag["id"]}"\npath = "works/hall/line/filler/fill_level"\ntitle = "Level"\ntype = "int64"\n'
            + GOOD[GOOD.index("[[connector]]") :].replace("filler/level", "filler/fill_level")
        )
        points = lambda: self.here.history("works/hall/line/filler/fill_level", 1_699_999_999_000, 1_700_000_001_000)["points"]
        wait_until("the point stands under the new name", lambda: points() == [[1_700_000_000_000, 7, 0]])

    def test_the_tools_say_what_to_do_when_no_node_runs(self):
        self.here.stop()
        path = self.write("line.toml", GOOD)
        text = self.cli("apply", path, code=1)
        self.assertIn("andon serve", text)
        self.assertEqual(self.here.cli("doctor").returncode, 2, "anonymous MQTT is a finding")

    def test_doctor_examines_the_records_of_a_node_that_does_not_run(self):
        self.here.apply(GOOD)
        self.here.stop()
        records = self.here.data_dir / "records.sqlite"
        self.assertIn("records.sqlite is whole", self.cli("doctor", code=2))
        whole = records.read_bytes()
        records.write_bytes(whole[: len(whole) // 2])
        text = self.cli("doctor", code=2)
        self.assertIn("records.sqlite is damaged", text)
        self.assertIn("put it back from the last backup", text)
        records.unlink()
        self.assertIn("records.sqlite is missing", self.cli("doctor", code=2))

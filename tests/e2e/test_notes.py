"""Notes: what people write about a time and a place stands in the timeline, for good."""

from harness import Case, wait_until
from test_sql import PLANT

TAG = "works/line1/pressure"


class Notes(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)

    def test_a_note_is_found_where_and_when_it_is_about_and_outlives_a_kill(self):
        body = {"path": TAG, "text": "Valve seat changed,\nold one kept.", "at_ms": 1_700_000_000_000, "until_ms": 1_700_000_600_000}
        answer = self.here.post("/api/notes", body)
        self.assertEqual(answer.status, 201)
        self.assertEqual((answer.json["kind"], answer.json["source_ms"], answer.json["summary"]), ("note", body["at_ms"], body["text"]))
        self.here.kill()
        self.here.start()
        about = {"from_ms": 1_699_999_999_000, "to_ms": 1_700_000_001_000}
        wait_until("the note is found by what it is about", lambda: [e["id"] for e in self.here.timeline(**about)] == [answer.json["id"]])
        found = self.here.timeline(kind="note")[0]
        self.assertEqual((found["path"], found["detail"]["until"]), (TAG, body["until_ms"] * 1000))
        self.assertEqual(self.here.timeline(path="works/line2", kind="note"), [])
        self.here.stop()
        self.assertEqual(self.here.cli("audit verify").returncode, 0)

    def test_what_cannot_be_a_note_says_why(self):
        post = lambda **change: self.here.post("/api/notes", {"path": TAG, "text": "x", **change})
        self.assertEqual(post(path="works/line1").status, 201, "equipment has notes, too")
        for change, status, words in (
            ({"path": "works/line9"}, 404, "works/line9"),
            ({"text": "  "}, 400, "write 1 to 2000"),
            ({"text": "a\u202eb"}, 400, "U+202E"),
            ({"until_ms": 1}, 400, "until_ms"),
            ({"at_ms": 2**62}, 400, "at_ms"),
        ):
            answer = post(**change)
            self.assertEqual(answer.status, status, change)
            self.assertIn(words, answer.json["detail"])
        viewer = self.here.make_user("vera", "viewer", "works/line1")
        refused = self.here.post("/api/notes", {"path": TAG, "text": "x"}, token=None, cookie=viewer)
        self.assertEqual(refused.status, 403)
        operator = self.here.make_user("otto", "operator", "works/line1")
        unseen = self.here.post("/api/notes", {"path": "works/line2", "text": "x"}, token=None, cookie=operator)
        self.assertEqual(unseen.status, 404, "what one does not see does not exist")
        wait_until("only the first is in the timeline", lambda: len(self.here.timeline(kind="note")) == 1)

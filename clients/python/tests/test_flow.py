"""The flow without I/O: every sequence of answers up to a length, against a model."""
import itertools
import json
import unittest
from dataclasses import dataclass, field

from inval import Policy, Unavailable, flow, steps
from inval.functions import Answer, Kind, Trouble
from inval.values import JsonSerializer

LENGTH = 7

OLD, OTHERS, MINE = "old", "others'", "mine"
BYTES = {value: json.dumps(value).encode() for value in (OLD, OTHERS, MINE)}
ERROR = RuntimeError("the load fails")
LOST = OSError("no connection")

ANSWERS = {
    "ask": [Answer("hit", None, BYTES[OLD]), Answer("hit", None, b"{unreadable"),
            Answer("fill", b"1", None), Answer("fill", b"1", BYTES[OLD]),
            Answer("wait"), Answer("wait", None, BYTES[OLD]), Answer("bypass"),
            *(Trouble(kind, LOST) for kind in Kind)],
    "get": [None, BYTES[OLD], b"{unreadable", Trouble(Kind.DOWN, LOST), Trouble(Kind.OTHER, LOST)],
    "store": [True, False, Trouble(Kind.DOWN, LOST), Trouble(Kind.READ_ONLY, LOST)],
    "put": [None, Trouble(Kind.DOWN, LOST)],
    "release": [1, Trouble(Kind.DOWN, LOST)],
    "register": [[1], Trouble(Kind.DOWN, LOST)],
    steps.Load: [MINE, ERROR],
    steps.MayStore: [True, False],
    steps.Wait: [None, BYTES[OTHERS]],
    steps.Hopeless: [False, True],
    steps.Unstorable: [None],
    steps.Lead: [True, False],
    steps.Detach: [True, False],
    steps.Note: [None],
}


@dataclass
class Run:
    """What one run of the flow has done, and how it ended."""

    trace: list = field(default_factory=list)  # of (step, answer), notes left out
    result: object = None
    error: object = None
    ended: bool = False

    def answers(self, kind):
        return [(step, answer) for step, answer in self.trace
                if (step.name if isinstance(step, steps.Call) else type(step)) == kind]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run_flow(make, choices):
    """Answers the flow's steps by choices; stops where these end. Returns the run, and the
    answers that its next step can have."""
    clock = Clock()
    run, left = Run(), list(choices)
    generator = make(clock)
    answer, error = None, None
    while True:
        try:
            step = generator.send(answer) if error is None else generator.throw(error)
        except StopIteration as stop:
            run.result, run.ended = stop.value, True
            return run, []
        except Exception as raised:
            run.error, run.ended = raised, True
            return run, []
        kind = step.name if isinstance(step, steps.Call) else type(step)
        if len(ANSWERS[kind]) == 1:
            answer, error = ANSWERS[kind][0], None
            continue
        if not left:
            generator.close()
            return run, ANSWERS[kind]
        answer, error = left.pop(0), None
        run.trace.append((step, answer))
        if isinstance(step, steps.Wait):
            clock.now += step.pause
        if isinstance(answer, Exception):
            answer, error = None, answer


def all_runs(make, length=LENGTH):
    """Every run with at most so many answers that could have been others."""
    stack = [()]
    while stack:
        choices = stack.pop()
        run, more = run_flow(make, choices)
        yield run
        if len(choices) < length:
            stack.extend((*choices, answer) for answer in more)


def words(run):
    return " > ".join(f"{getattr(s, 'name', type(s).__name__)}={a!r}" for s, a in run.trace)


class FlowTest(unittest.TestCase):
    def check(self, run, policy, **request):
        """The model: what is true of each run, whatever the order in which it came about."""
        asks, loads = run.answers("ask"), run.answers(steps.Load)
        stores, puts = run.answers("store"), run.answers("put")
        releases, gets = run.answers("release"), run.answers("get")
        leases = [a for _, a in asks if isinstance(a, Answer) and a.word == "fill"]
        may = [a for _, a in run.answers(steps.MayStore)]

        # A load happens once, and the lease comes before the snapshot.
        self.assertLessEqual(len(loads), 1)
        self.assertLessEqual(len(leases), 1)
        order = [type(s) if not isinstance(s, steps.Call) else s.name for s, _ in run.trace]
        for name in ("store", "put"):
            if name in order:
                self.assertGreater(order.index(name), order.index(steps.Load))
                # Asked before the load and after it, and clean each time.
                self.assertEqual(may, [True, True])
                first = order.index(steps.MayStore)
                self.assertLess(first, order.index(steps.Load))
                self.assertGreater(order.index(steps.MayStore, first + 1), order.index(steps.Load))
        if stores:
            step = stores[0][0]
            self.assertEqual(step.args[:3], ("k", leases[0].token, BYTES[MINE]))
            self.assertEqual(step.args[4], 0 if policy.strict else int(policy.stale * 1000))
            if request.get("depends"):
                self.assertFalse(isinstance(run.answers("register")[0][1], Trouble))
                self.assertLess(order.index("ask"), order.index("register"))
                self.assertLess(order.index("register"), order.index(steps.Load))
        # A lease ends in one way; nobody gives up what is not his.
        full = bool(stores) and getattr(stores[0][1], "kind", None) is Kind.READ_ONLY
        self.assertLessEqual(len(stores) + len(releases) - full, len(leases))
        detached = (True in [a for _, a in run.answers(steps.Detach)])
        if run.ended and leases and not detached:
            self.assertEqual(len(stores) + len(releases) - full, 1)
        if puts:
            self.assertEqual(asks[-1][1].kind, Kind.NO_COMMAND)
            self.assertEqual(request.get("functions", "auto"), "auto")
        # Who must not see an old value sees no plain GET, and nothing stale.
        if policy.strict:
            self.assertEqual(gets + puts, [])
        if request.get("read_only"):
            self.assertEqual(asks + stores + puts, [])
        # Nothing asks for ever: each wait costs time, and at its end one loads.
        waits = run.answers(steps.Wait)
        self.assertLessEqual(sum(s.pause for s, _ in waits), policy.wait + 0.1)
        if run.ended:
            self.check_end(run, policy, request, loads, leases, stores, puts)

    def check_end(self, run, policy, request, loads, leases, stores, puts):
        last = next((a for s, a in reversed(run.trace) if isinstance(s, steps.Call)
                     and s.name in ("ask", "get")), None)
        loaded = bool(loads) and loads[0][1] == MINE
        if run.error is not None:
            if run.error is ERROR:
                self.assertEqual(loads[0][1], ERROR)
                # A stale value would have done.
                self.assertFalse(leases and leases[0].value and not policy.strict
                                 and True in [a for _, a in run.answers(steps.MayStore)][:1]
                                 and not request.get("depends"))
            else:
                self.assertIsInstance(run.error, Unavailable)
                self.assertEqual(request.get("on_error"), "raise")
            return
        result = run.result
        self.assertEqual(result.data is not None, result.source in (
            "hit", "filled", "waited", "stale") or (loaded and result.data == BYTES[MINE]))
        if loaded:
            self.assertEqual(result.value, MINE)
            expected = "unstored"
            if (stores and stores[0][1] is True) or (puts and puts[0][1] is None):
                expected = "filled"
            elif isinstance(last, Answer) and last.word == "bypass":
                expected = "bypass"
            elif isinstance(last, Trouble) and last.kind is Kind.DOWN and not run.answers(steps.Lead):
                expected = "down"
            self.assertEqual(result.source, expected)
            return
        self.assertIn(result.value, (OLD, OTHERS))
        if request.get("refresh") and result.source == "hit":
            self.assertEqual(getattr(last, "word", None), "hit", "somebody else refreshes it")
        if result.value == OTHERS:
            self.assertEqual(result.source, "waited")
        elif isinstance(last, Answer) and last.word in ("fill", "wait"):
            self.assertEqual(result.source, "stale")
            self.assertFalse(policy.strict)
        else:
            waited = bool(run.answers(steps.Wait))
            self.assertEqual(result.source, "waited" if waited else "hit")

    def check_all(self, length=LENGTH, **request):
        policy = request.pop("policy", Policy(jitter=0, wait=0.03))
        count = ended = 0

        def make(clock):
            return flow.get_or_set(flow.Request(
                key="k", policy=policy, serializer=JsonSerializer(), clock=clock,
                chance=lambda: 0.0, **request))

        for run in all_runs(make, length):
            count += 1
            ended += run.ended
            try:
                self.check(run, policy, **request)
            except AssertionError as error:
                raise AssertionError(f"{error}\nafter {words(run)}\n{run.result} {run.error!r}") from None
        return count, ended

    def test_every_sequence(self):
        count, ended = self.check_all(LENGTH)
        self.assertGreater(ended, 200)
        self.assertGreater(count, ended)

    def test_every_policy(self):
        for strict, stale, background in itertools.product((False, True), (0, 5), (False, True)):
            if strict and stale:
                continue
            with self.subTest(strict=strict, stale=stale, background=background):
                self.check_all(policy=Policy(jitter=0, wait=0.03, early=1, stale=stale,
                                             strict=strict, background=background))

    def test_every_request(self):
        for request in (dict(depends=("set",)), dict(functions="require"), dict(on_error="raise"),
                        dict(read_only=True), dict(refresh=True)):
            with self.subTest(**request):
                self.check_all(LENGTH, **request)

    def test_none_and_size(self):
        for value, fields, stored in ((None, dict(none_ttl=0), False), (None, {}, True),
                                      (None, dict(none_ttl=7), True),
                                      ("x" * 100, dict(max_bytes=50), False)):
            request = flow.Request(key="k", policy=Policy(jitter=0, **fields),
                                   serializer=JsonSerializer(), clock=Clock())
            generator = flow.get_or_set(request)
            names, ttl = [], None
            answer = None
            try:
                while True:
                    step = generator.send(answer)
                    names.append(getattr(step, "name", type(step).__name__))
                    if names[-1] == "store":
                        ttl = step.args[3]
                    answer = {"ask": Answer("fill", b"1"), "Load": value, "MayStore": True,
                              "store": True, "release": 1}.get(names[-1])
            except StopIteration as stop:
                self.assertEqual(stop.value.source, "filled" if stored else "unstored")
            self.assertEqual("store" in names, stored)
            self.assertEqual("release" in names, not stored)
            if stored:
                self.assertEqual(ttl, 7000 if fields else 3600000)

    def test_jitter_only_shortens(self):
        for chance in (0.0, 0.5, 0.999):
            request = flow.Request(key="k", policy=Policy(ttl=100, jitter=0.2), clock=Clock(),
                                   serializer=JsonSerializer(), chance=lambda: chance)
            self.assertAlmostEqual(flow.life_ms(request, 1), 100000 * (1 - 0.2 * chance), delta=1)


if __name__ == "__main__":
    unittest.main()

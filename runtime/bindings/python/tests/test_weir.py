"""Tests of the Python package. tests/e2e/test_package.py runs them in a fresh environment, with packages named by
$WEIR_TEST_MLP (forward(x: f32[4]) -> f32[3]) and $WEIR_TEST_TINY (examples/tiny.weir)."""
import array
import gc
import os
import threading
import unittest

import weir
from weir import tensor as tensors

try:
    import numpy
except ImportError:
    numpy = None

X = [0.5, -1.0, 2.0, 0.25]
TOKENS = [3, 1, 4, 1]


class Foreign:
    """A tensor of some other library: DLPack and nothing else."""

    def __init__(self, source, device=None):
        self.source, self.device = source, device or source.__dlpack_device__()

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self):
        return self.source.__dlpack__()


def filled(values):
    made = weir.Tensor("f32", [len(values)])
    made.data[:] = array.array("f", values).tobytes()
    return made


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mlp = weir.load(os.environ["WEIR_TEST_MLP"], threads=1)
        cls.tiny = weir.load(os.environ["WEIR_TEST_TINY"])
        cls.step = next(e for e in cls.tiny.entries.values() if e.step)

    def test_what_a_model_says_of_itself(self):
        entry = self.mlp.entries["forward"]
        self.assertEqual([(i.name, i.dtype, i.rank, i.dims) for i in entry.inputs], [("x", "f32", 1, "4")])
        self.assertFalse(entry.step)
        self.assertTrue(self.step.states)
        self.assertTrue(any(symbol.grows for symbol in self.step.symbols))

    def test_lists_tensors_and_dlpack_give_the_same(self):
        wanted = self.mlp.run("forward", x=X)["output"].tolist()
        self.assertEqual(len(wanted), 3)
        self.assertEqual(self.mlp.run("forward", X)["output"].tolist(), wanted)
        self.assertEqual(self.mlp.run("forward", filled(X))["output"].tolist(), wanted)
        self.assertEqual(self.mlp.run("forward", Foreign(filled(X)))["output"].tolist(), wanted)

    def test_requests_are_packed(self):
        alone = [self.mlp.run("forward", x=[float(i)] * 4)["output"].tolist() for i in range(5)]
        packed = self.mlp.run_many("forward", [{"x": [float(i)] * 4} for i in range(5)])
        self.assertEqual([r["output"].tolist() for r in packed], alone)
        self.assertEqual(self.mlp.run_many("forward", []), [])

    def test_sessions(self):
        name, output = self.step.inputs[0].name, self.step.outputs[0].name
        whole = self.tiny.run(self.step.name, **{name: TOKENS})[output].tolist()
        with self.tiny.session() as session:
            for token in TOKENS:
                last = session.step(self.step.name, **{name: [token]})[output].tolist()
            self.assertEqual(last, whole)
            self.assertEqual(session.rows(), len(TOKENS))
            fork, data = session.fork(), session.export()
            after = session.step(self.step.name, [2])[output].tolist()
            self.assertEqual(fork.step(self.step.name, [2])[output].tolist(), after)
            session.restore(data)
            self.assertEqual(session.step(self.step.name, [2])[output].tolist(), after)
            session.truncate(0)
            self.assertEqual(session.step(self.step.name, TOKENS)[output].tolist(), whole)
        with self.assertRaises(weir.InvalidArgument):
            session.rows()
        executor = self.tiny.executor(threads=1)
        pair = [self.tiny.session(), self.tiny.session()]
        both = executor.step_many(self.step.name, pair, [{name: TOKENS}, {name: TOKENS}])
        self.assertEqual([r[output].tolist() for r in both], [whole, whole])
        self.assertGreater(executor.memory()["total_bytes"], 0)

    def test_threads_run_side_by_side(self):
        wanted = self.mlp.run("forward", x=X)["output"].tolist()
        found = []

        def work():
            with self.mlp.executor(threads=1) as executor:
                for _ in range(50):
                    found.append(executor.run("forward", x=X)["output"].tolist() == wanted)
                    found.append(self.mlp.run("forward", x=X)["output"].tolist() == wanted)
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(found, [True] * 400)

    def test_a_closed_model_is_kept_by_its_sessions(self):
        model = weir.load(os.environ["WEIR_TEST_TINY"])
        session = model.session()
        model.close()
        self.assertEqual(session.rows(), 0)
        session.close()
        with self.assertRaises(weir.InvalidArgument):
            model.session()


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mlp = weir.load(os.environ["WEIR_TEST_MLP"])

    def test_each_kind(self):
        cases = [(weir.InvalidArgument, {"x": [1.0]}), (weir.InvalidArgument, {"y": X}), (weir.InvalidArgument, {}),
                 (weir.InvalidArgument, {"x": [[1.0], [1.0, 2.0]]}), (weir.InvalidArgument, {"x": ["a", "b", "c", "d"]})]
        for kind, inputs in cases:
            with self.subTest(inputs), self.assertRaises(kind) as caught:
                self.mlp.run("forward", **inputs)
            self.assertIs(caught.exception.code, weir.Code.INVALID_ARGUMENT)
            self.assertTrue(caught.exception.message)
        with self.assertRaises(weir.NotFound):
            self.mlp.run("backward", x=X)
        with self.assertRaises(weir.NotFound):
            weir.load("/nowhere/at/all.wpk")
        with self.assertRaises(weir.InvalidData):
            weir.load(__file__)
        with self.assertRaises(weir.Unsupported):
            weir.load(os.environ["WEIR_TEST_MLP"], isa="z80")
        with self.assertRaises(weir.InvalidData):
            weir.load(os.environ["WEIR_TEST_MLP"], require_key="00" * 32)
        with self.assertRaises(weir.Unsupported):
            self.mlp.run("forward", Foreign(filled(X), device=(2, 0)))

    def test_errors_are_python_errors_too(self):
        self.assertTrue(issubclass(weir.InvalidArgument, ValueError))
        self.assertTrue(issubclass(weir.NotFound, LookupError))


class Tensors(unittest.TestCase):
    def test_nothing_stays_behind(self):
        made = filled(X)
        self.assertEqual(made.tolist(), X)
        capsule = made.__dlpack__()
        self.assertEqual(len(tensors._exported), 1)
        del capsule
        gc.collect()
        self.assertEqual(len(tensors._exported), 0)

    def test_every_dtype_by_dlpack(self):
        for number, dtype in enumerate(tensors.DTYPES):
            for shape in ((), (0, 3), (2, 3)):
                made = weir.Tensor(dtype, shape)
                borrowed = tensors._Borrowed(made)
                gc.collect()
                for view in (tensors.view_of(made, dtype)[0], tensors._view_of(borrowed.managed.contents.dl_tensor)):
                    self.assertEqual((view.data, view.bytes, view.dtype, tuple(view.shape[:view.rank])), (made._address, made._bytes, number, shape))
                del borrowed
        self.assertEqual(len(tensors._exported), 0)
        with self.assertRaises(weir.Unsupported):
            tensors.view_of(weir.Tensor("f32", [1] * 9), "f32")
        with self.assertRaises(TypeError):
            weir.Tensor("bf16", [2]).tolist()

    @unittest.skipUnless(numpy, "NumPy is not installed")
    def test_numpy_shares_memory(self):
        made = filled(X)
        self.assertEqual(numpy.asarray(made).__array_interface__["data"][0], made._address)
        shared = numpy.from_dlpack(made)
        self.assertEqual(shared.__array_interface__["data"][0], made._address)
        del shared, made
        gc.collect()
        self.assertEqual(len(tensors._exported), 0)

    @unittest.skipUnless(numpy, "NumPy is not installed")
    def test_numpy_in(self):
        mlp = weir.load(os.environ["WEIR_TEST_MLP"])
        x = numpy.array(X, dtype="float32")
        view, kept = tensors.view_of(x, "f32")
        self.assertEqual(view.data, x.ctypes.data)
        wanted = mlp.run("forward", x=x)["output"]
        self.assertIsInstance(wanted, numpy.ndarray)
        for other in (x.astype("float64"), numpy.stack([x, x], axis=1)[:, 0], Foreign(x)):
            self.assertTrue((mlp.run("forward", x=other)["output"] == wanted).all())
        with self.assertRaises(weir.InvalidArgument):
            tensors.view_of(numpy.array([2 ** 40]), "i32")
        with self.assertRaises(weir.Unsupported):
            mlp.run("forward", x=Foreign(numpy.stack([x, x], axis=1)[:, 0]))


if __name__ == "__main__":
    unittest.main()

from importlinter.cli import lint_imports


def test_imports_respect_the_floors():
    assert lint_imports(no_logo=True, no_cache=True) == 0

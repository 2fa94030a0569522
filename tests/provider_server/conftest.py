from tests.provider_server.fixture import provider  # noqa: F401 - a fixture

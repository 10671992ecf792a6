import pytest

from services.common.loopback import is_loopback, is_loopback_url


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_names_of_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0", "a.localhost"])  # noqa: S104 - to be refused
def test_other_names(host):
    assert not is_loopback(host)


def test_a_client_also_reaches_this_machine_by_a_name_under_localhost():
    assert is_loopback_url("http://queue.localhost:4566/0/q")
    assert is_loopback_url("http://[::1]:4566")
    assert not is_loopback_url("http://localhost.example.com")
    assert not is_loopback_url("nonsense")

"""The settings table: what it accepts, what it refuses, and what it says then."""

import json
import os
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from bot.config import env_example, markdown
from bot.settings import TABLE, Secret, Settings, SettingsError

KEYED = {"KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY": "pem"}


def faults(environ: dict[str, str], env_file: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, env_file)
    return str(caught.value)


def env_file(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_without_any_setting_the_defaults_are_the_promised_ones():
    settings = Settings.load({})
    assert (settings.mode, settings.host, settings.port, settings.local_only) == ("paper", "127.0.0.1", 8000, True)
    assert settings.data_dir == Path.cwd() / "var"
    assert (settings.strategy_loop_interval, settings.stop_loss_check_interval, settings.ui_update_interval) == (
        30,
        2,
        1,
    )
    assert (settings.reconcile_interval, settings.market_poll_interval) == (10, 12)
    assert (settings.websocket_reconnect_delay, settings.websocket_max_reconnect_delay) == (5, 60)
    assert settings.websocket_enabled is True and settings.verbose is False
    assert settings.websocket_price_cache_stale_secs == 60
    assert (settings.paper_port, settings.paper_speed, settings.paper_world) == (0, 1, "demo")
    assert settings.kalshi_api_url == settings.odds_api_url == ""


def test_settings_do_not_change_after_the_start():
    with pytest.raises(FrozenInstanceError):
        Settings.load({}).port = 9000


def test_the_environment_wins_over_the_file_and_an_empty_value_is_no_value(tmp_path):
    path = env_file(tmp_path, "PORT=9001\nVERBOSE=yes\nPAPER_SPEED=\n")
    settings = Settings.load({"PORT": "9002", "VERBOSE": ""}, path)
    assert (settings.port, settings.verbose, settings.paper_speed) == (9002, True, 1.0)


def test_a_missing_env_file_is_no_fault(tmp_path):
    assert Settings.load({}, tmp_path / ".env").port == 8000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("PAPER_WORLD=a b", "a b"),
        ("export PAPER_WORLD=a", "a"),
        ("PAPER_WORLD = a  # note", "a"),
        ("PAPER_WORLD=a#b", "a#b"),
        ("PAPER_WORLD='a # b'", "a # b"),
        ('PAPER_WORLD="a" # note', "a"),
        ('PAPER_WORLD="one\ntwo"', "one\ntwo"),
        ("PAPER_WORLD=a=b", "a=b"),
        ("\ufeffPAPER_WORLD=a", "a"),
        ("PAPER_WORLD=a\r\nPORT=8001\r\n", "a"),
    ],
)
def test_env_file_shapes_that_are_understood(tmp_path, text, value):
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    assert Settings.load({}, path).paper_world == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PORT=8001\nthis is no setting\n", ".env line 2: expected NAME=value."),
        ("PORT=8001\nPORT=8002\n", ".env line 2: PORT is set twice (also in .env line 1)."),
        ('PORT="8001\nVERBOSE=1\n', '.env line 1: PORT begins with " but no " ends it.'),
        ("PORT='8001' x\n", ".env line 1: PORT has text after its closing '."),
        ("\n\nPROT=8001\n", ".env line 3: PROT is not a setting of this program; see docs/configuration.md."),
        (
            "PORT=80.5\n",
            "PORT (.env line 1): '80.5' is not allowed; it must be a whole number from 1 to 65535.",
        ),
    ],
)
def test_a_faulty_line_is_named_by_its_number(tmp_path, text, message):
    assert faults({}, env_file(tmp_path, text)) == message


def test_a_file_that_is_not_text_is_one_message(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"PORT=\xff\xfe")
    assert faults({}, path) == ".env is not UTF-8 text; save it as plain text."


def test_all_faults_are_reported_at_once():
    text = faults({"MODE": "real", "PORT": "0", "RECONCILE_INTERVAL": "soon", "WEBSOCKET_ENABLED": "perhaps"})
    assert text.splitlines() == [
        "MODE (environment): 'real' is not allowed; it must be paper, demo or live.",
        "PORT (environment): '0' is not allowed; it must be a whole number from 1 to 65535.",
        "RECONCILE_INTERVAL (environment): 'soon' is not allowed; it must be a number from 1 to 600 s.",
        "WEBSOCKET_ENABLED (environment): 'perhaps' is not allowed; it must be true or false.",
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "1e9", "1_0", "30s", "٣٠"])
def test_intervals_are_finite_numbers_within_their_limits(text):
    assert "STRATEGY_LOOP_INTERVAL" in faults({"STRATEGY_LOOP_INTERVAL": text})


def test_a_secret_never_shows_itself_nor_in_a_fault(tmp_path):
    word = "hunter2-hunter2"
    settings = Settings.load({"ADMIN_PASSWORD": word, "REDIS_URL": f"redis://:{word}@localhost"})
    for text in (repr(settings), str(settings), f"{settings.admin_password}", json.dumps(settings.shown())):
        assert word not in text
    with pytest.raises(TypeError):
        pickle.dumps(settings)
    assert settings.admin_password.reveal() == word
    assert settings.admin_password == Secret(word) != Secret("other")
    assert word not in faults({"REDIS_URL": f"http://{word}", "API_TOKEN": "hunter2"})
    assert word not in faults({}, env_file(tmp_path, f"{word}\n{word} = x\nADMIN_PASSWORD='{word}\n"))


@pytest.mark.parametrize("mode", ["demo", "live"])
def test_trading_on_kalshi_needs_a_key(mode):
    assert "needs a key: set KALSHI_KEY_ID" in faults({"MODE": mode})
    assert "needs a key: set KALSHI_KEY_ID" in faults({"MODE": mode, "KALSHI_KEY_ID": "id"})
    assert Settings.load({"MODE": mode, **KEYED}).mode == mode


def test_each_mode_has_its_own_addresses():
    demo, live = (Settings.load({"MODE": mode, **KEYED}) for mode in ("demo", "live"))
    assert demo.kalshi_api_url == "https://external-api.demo.kalshi.co/trade-api/v2"
    assert live.kalshi_api_url == "https://external-api.kalshi.com/trade-api/v2"
    assert live.kalshi_ws_url == "wss://external-api-ws.kalshi.com/trade-api/ws/v2"
    assert live.odds_api_url == "https://api.the-odds-api.com"


@pytest.mark.parametrize(
    ("mode", "host"),
    [("paper", "api.elections.kalshi.com"), ("demo", "api.kalshi.com"), ("live", "demo-api.kalshi.co")],
)
def test_an_address_of_another_mode_is_refused(mode, host):
    urls = {"KALSHI_API_URL": f"https://{host}/trade-api/v2", "KALSHI_WS_URL": "wss://localhost/trade-api/ws/v2"}
    assert f"points to {host}, which does not belong to MODE {mode}" in faults({"MODE": mode, **KEYED, **urls})


def test_the_two_addresses_of_the_exchange_belong_together():
    text = faults({"MODE": "demo", **KEYED, "KALSHI_API_URL": "http://127.0.0.1:9/trade-api/v2"})
    assert "KALSHI_API_URL and KALSHI_WS_URL belong together" in text


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "example.com", "https://user:pw@example.com", "https://x:port"]
)
def test_only_encrypted_addresses_leave_this_machine(url):
    assert "ODDS_API_URL must begin with https://" in faults({"ODDS_API_URL": url}) or "holds no user name" in faults(
        {"ODDS_API_URL": url}
    )
    assert Settings.load({"ODDS_API_URL": "http://127.0.0.1:5000"}).odds_api_url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "my-server"])
def test_a_page_open_to_the_network_needs_a_password(host):
    assert "ADMIN_PASSWORD must be set" in faults({"HOST": host})
    assert "at least 15 characters" in faults({"HOST": host, "ADMIN_PASSWORD": "fourteen chars"})
    assert "repeats a few characters" in faults({"HOST": host, "ADMIN_PASSWORD": "abcabcabcabcabcabc"})
    assert not Settings.load({"HOST": host, "ADMIN_PASSWORD": "correct horse battery"}).local_only


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_a_page_for_this_machine_needs_none(host):
    assert Settings.load({"HOST": host}).local_only


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("pem")
    environ = {"MODE": "demo", "KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY_PATH": str(path)}
    for mode in (0o644, 0o640, 0o604):
        path.chmod(mode)
        assert f"run: chmod 600 {path}" in faults(environ)
    path.chmod(0o600)
    assert Settings.load(environ).kalshi_private_key_path == path


def test_a_key_file_that_is_not_there_is_named(tmp_path):
    environ = {"MODE": "demo", "KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY_PATH": str(tmp_path / "no.pem")}
    assert "no.pem cannot be read (No such file or directory)" in faults(environ)
    assert "is not a file" in faults(environ | {"KALSHI_PRIVATE_KEY_PATH": str(tmp_path)})


def test_an_env_file_that_holds_the_key_is_private_too(tmp_path):
    path = env_file(tmp_path, 'MODE=demo\nKALSHI_KEY_ID=id\nKALSHI_PRIVATE_KEY="line\nline"\n')
    assert Settings.load({}, path).kalshi_private_key.reveal() == "line\nline"
    path.chmod(0o644)
    assert f"run: chmod 600 {path}" in faults({}, path)


def test_the_key_comes_from_one_place(tmp_path):
    text = faults({"MODE": "demo", **KEYED, "KALSHI_PRIVATE_KEY_PATH": str(tmp_path)})
    assert "Set one of KALSHI_PRIVATE_KEY_PATH and KALSHI_PRIVATE_KEY, not both." in text


def test_a_data_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in faults({"DATA_DIR": str(tmp_path / "file")})
    assert "is a file, not a folder" in faults({"DATA_DIR": str(tmp_path / "file" / "below")})
    assert Settings.load({"DATA_DIR": str(tmp_path / "new" / "deep")}).data_dir == tmp_path / "new" / "deep"
    assert not (tmp_path / "new").exists()


def test_a_data_folder_without_rights_is_refused(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            Settings.load({"DATA_DIR": str(closed)})
        except SettingsError as error:
            os._exit(0 if "DATA_DIR" in str(error) and "this user may not" in str(error) else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_making_the_data_folder_says_why_it_cannot(tmp_path):
    folder = Settings.load({"DATA_DIR": str(tmp_path / "a" / "b")}).make_data_dir()
    assert folder.is_dir() and folder.stat().st_mode & 0o077 == 0 and not list(folder.iterdir())
    with pytest.raises(SettingsError, match=r"DATA_DIR /proc/none cannot be used \(No such file or directory\)"):
        Settings.load({"DATA_DIR": "/proc/none"}).make_data_dir()


def test_settings_that_belong_together():
    assert "SUPABASE_SECRET_KEY" in faults({"SUPABASE_URL": "https://x.supabase.co"})
    assert "REDIS_URL must begin" in faults({"REDIS_URL": "localhost:6379"})
    delays = {"WEBSOCKET_RECONNECT_DELAY": "10", "WEBSOCKET_MAX_RECONNECT_DELAY": "5"}
    assert "WEBSOCKET_MAX_RECONNECT_DELAY must not be smaller" in faults(delays)


@pytest.mark.parametrize(("path", "written"), [(".env.example", env_example), ("docs/configuration.md", markdown)])
def test_written_documents_agree_with_the_table(path, written):
    root = Path(__file__).parents[1]
    assert (root / path).read_text() == written(TABLE), "run: python -m bot settings --write"


def test_the_example_file_is_itself_valid(tmp_path):
    assert Settings.load({}, env_file(tmp_path, env_example(TABLE))) == Settings.load({})
    uncommented = env_example(TABLE).replace("\n#MODE", "\nMODE").replace("\n#PORT", "\nPORT")
    assert Settings.load({}, env_file(tmp_path, uncommented)) == Settings.load({})


def test_every_setting_explains_itself():
    for row in TABLE:
        assert row.help.endswith((".", ")")) and row.group, row.name

"""What the synthetic world lists: series, games, a crypto series and an economics series as Kalshi would describe them.

Texts and tickers follow kalshi-api.md section 10. Only names and times are decided here; what happens is contest.py's.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from bot.paper.crowd import CENT, TAPERED
from bot.paper.model import Event, Market, Milestone, Series, StructuredTarget
from bot.paper.teams import LEAGUES, League, Team

EASTERN = ZoneInfo("America/New_York")
DAY_MS = 86_400_000
BTC = Series("KXBTC15M", "Bitcoin price up down", "Crypto", "quadratic", frequency="fifteen_min", tags=["BTC"])
ETH = Series("KXETH15M", "Ethereum price up down", "Crypto", "quadratic", frequency="fifteen_min", tags=["ETH"])
SOL = Series("KXSOL15M", "Solana price up down", "Crypto", "quadratic", frequency="fifteen_min", tags=["SOL"])
COINS = [(BTC, "Bitcoin", 80_000.0), (ETH, "Ethereum", 3_000.0), (SOL, "Solana", 150.0)]
"""The crypto series, what they follow, and a first price in dollars."""
CPI = Series("KXCPIYOY", "Inflation", "Economics", "quadratic", frequency="monthly", tags=["Inflation"])


class Times(NamedTuple):
    """Epoch milliseconds; `end` is the nominal end, which the real one misses a little."""

    open: int
    start: int
    end: int


class Listing(NamedTuple):
    event: Event
    markets: list[Market]
    milestone: Milestone | None = None


def series(coins: list[tuple[Series, str, float]]) -> list[Series]:
    games = [Series(league.series, league.title, "Sports", tags=[league.tag]) for league in LEAGUES]
    return [*games, *(series for series, _, _ in coins), CPI]


def targets() -> list[StructuredTarget]:
    return [
        StructuredTarget(
            team.target_id,
            team.city,
            f"{league.sport}_team",
            {"abbreviation": team.code, "league": league.name},
        )
        for league in LEAGUES
        for team in league.teams
    ]


def game_ticker(league: League, home: Team, away: Team, start_ms: int, clock: bool) -> str:
    """Away first, home first in soccer; with the Eastern start time where the league has it or the name is taken."""
    day = eastern(start_ms).strftime("%y%b%d%H%M" if clock else "%y%b%d").upper()
    return f"{league.series}-{day}{''.join(team.code for team in _order(league, home, away))}"


def game(ticker: str, league: League, home: Team, away: Team, times: Times, settlement_timer_s: int) -> Listing:
    first, second = _order(league, home, away)
    versus = "vs" if league.tie else "at"
    title = f"{first.city} {versus} {second.city}"
    start = eastern(times.start)
    when = start.strftime(f"%b {start.day}, %Y at {start.hour % 12 or 12}:%M %p %Z")
    strikes = [(team.code, team.city, {f"{league.sport}_team": team.target_id}) for team in (first, second)]
    if league.tie:
        strikes.append(("TIE", "Tie", {}))
    markets = [
        Market(
            f"{ticker}-{code}",
            ticker,
            f"{title} Winner?",
            name,
            name,
            times.open,
            times.end + 14 * DAY_MS,
            times.end,
            times.end + 14 * DAY_MS,
            settlement_timer_s,
            occurrence_ms=times.end,
            custom_strike=strike,
            rules_primary=(
                f"If {'the game ends in a tie' if code == 'TIE' else f'{name} wins'} in the {title} "
                f"{league.title[0].lower() + league.title[1:]} originally scheduled for {when}, "
                "then the market resolves to Yes."
            ),
        )
        for code, name, strike in strikes
    ]
    event = Event(
        ticker,
        league.series,
        title,
        f"{first.code} {versus} {second.code} ({start.strftime('%b')} {start.day})",
        product_metadata={"competition": league.competition, "competition_scope": "Game"},
    )
    milestone = Milestone(
        str(uuid5(NAMESPACE_URL, ticker)),
        "Sports",
        f"{league.sport}_game",
        times.start,
        title,
        [ticker],
        [ticker],
        {
            "league": league.name,
            "home_team_id": home.target_id,
            "away_team_id": away.target_id,
            "main_game_event_ticker": ticker,
        },
    )
    return Listing(event, markets, milestone)


def coin(series: Series, name: str, strike: float, times: Times, settlement_timer_s: int, seconds: bool) -> Listing:
    """One period of a crypto series: closes at `times.end` exactly."""
    close = eastern(times.end)
    ticker = f"{series.ticker}-{close.strftime('%y%b%d%H%M%S' if seconds else '%y%b%d%H%M').upper()}"
    market = Market(
        f"{ticker}-{close.strftime('%M')}",
        ticker,
        f"{series.tags[0]} price up in next 15 mins?",
        f"Price to beat: ${strike:,.2f}",
        f"Price to beat: ${strike:,.2f}",
        times.open,
        times.end,
        times.end,
        times.end + DAY_MS,
        settlement_timer_s,
        TAPERED,
        "tapered_deci_cent",
        rules_primary=f"If the price of {name} at the close is at least {strike:.2f}, the market resolves to Yes.",
        strike_type="greater_or_equal",
        floor_strike=strike,
        occurrence_ms=times.end,
        can_close_early=False,
        early_close_condition="",
    )
    event = Event(ticker, series.ticker, f"{series.tags[0]} Up or Down - 15 minutes", "", False, "", "Crypto")
    return Listing(event, [market])


def inflation(month: int, strikes: list[float], times: Times, settlement_timer_s: int) -> Listing:
    """One release of the economics series: a ladder of thresholds. `month` counts months since year 0."""
    named = datetime(month // 12, month % 12 + 1, 1)
    ticker = f"{CPI.ticker}-{named.strftime('%y%b').upper()}"
    markets = [
        Market(
            f"{ticker}-T{strike:.1f}",
            ticker,
            f"Will the rate of CPI inflation be above {strike:.1f}% for the year ending in {named.strftime('%B %Y')}?",
            f"Above {strike:.1f}%",
            f"Above {strike:.1f}%",
            times.open,
            times.end,
            times.end,
            times.end + DAY_MS,
            settlement_timer_s,
            CENT,
            rules_primary=f"If the twelve-month change of the CPI for {named.strftime('%B %Y')} is "
            f"above {strike:.1f}%, the market resolves to Yes.",
            strike_type="greater",
            floor_strike=strike,
            occurrence_ms=times.end,
            can_close_early=False,
            early_close_condition="",
        )
        for strike in strikes
    ]
    event = Event(
        ticker, CPI.ticker, f"Inflation in {named.strftime('%B')}", named.strftime("%b %Y"), False, "", "Economics"
    )
    return Listing(event, markets)


def eastern(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, EASTERN)


def _order(league: League, home: Team, away: Team) -> tuple[Team, Team]:
    return (home, away) if league.tie else (away, home)

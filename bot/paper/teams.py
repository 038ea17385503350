"""The leagues of the synthetic world and their teams, named as Kalshi and as the bookmakers name them.

Codes and short names follow kalshi-api.md section 10 and matching.md section 4 (`AZ`, `LAR`, `CFC`, `Los Angeles L`);
full names are the odds feed's, with its irregular spellings.
"""

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5


@dataclass(frozen=True)
class Team:
    code: str
    city: str
    """Kalshi's `yes_sub_title`."""
    name: str
    """The bookmakers' full name."""
    target_id: str
    """The id of Kalshi's structured target."""


@dataclass(frozen=True)
class League:
    name: str
    series: str
    title: str
    competition: str
    tag: str
    sport: str
    """Prefix of the milestone type (`basketball_game`) and of the structured strike (`basketball_team`)."""
    sport_key: str
    sport_group: str
    sport_title: str
    minutes: float
    """Nominal length of a game at speed 1: the world's compressed hours."""
    share: float
    """How much of the programme this league fills."""
    plays: int
    """Scoring chances in a game: few make big jumps (hockey), many make small ones (basketball)."""
    teams: tuple[Team, ...]
    tie: bool = False
    """Three outcomes: home, away and tie."""
    clock: bool = False
    """Tickers carry the Eastern start time (HHMM) after the date."""


def _teams(league: str, table: str) -> tuple[Team, ...]:
    rows = (tuple(field.strip() for field in line.split("|")) for line in table.strip().splitlines())
    return tuple(Team(code, city, name, str(uuid5(NAMESPACE_URL, f"{league}/{code}"))) for code, city, name in rows)


_NBA = """
ATL | Atlanta | Atlanta Hawks
BKN | Brooklyn | Brooklyn Nets
BOS | Boston | Boston Celtics
CHA | Charlotte | Charlotte Hornets
CHI | Chicago | Chicago Bulls
CLE | Cleveland | Cleveland Cavaliers
DAL | Dallas | Dallas Mavericks
DEN | Denver | Denver Nuggets
DET | Detroit | Detroit Pistons
GSW | Golden State | Golden State Warriors
HOU | Houston | Houston Rockets
IND | Indiana | Indiana Pacers
LAC | Los Angeles C | Los Angeles Clippers
LAL | Los Angeles L | Los Angeles Lakers
MEM | Memphis | Memphis Grizzlies
MIA | Miami | Miami Heat
MIL | Milwaukee | Milwaukee Bucks
MIN | Minnesota | Minnesota Timberwolves
NOP | New Orleans | New Orleans Pelicans
NYK | New York | New York Knicks
OKC | Oklahoma City | Oklahoma City Thunder
ORL | Orlando | Orlando Magic
PHI | Philadelphia | Philadelphia 76ers
PHX | Phoenix | Phoenix Suns
POR | Portland | Portland Trail Blazers
SAC | Sacramento | Sacramento Kings
SAS | San Antonio | San Antonio Spurs
TOR | Toronto | Toronto Raptors
UTA | Utah | Utah Jazz
WAS | Washington | Washington Wizards
"""

_NFL = """
ARI | Arizona | Arizona Cardinals
ATL | Atlanta | Atlanta Falcons
BAL | Baltimore | Baltimore Ravens
BUF | Buffalo | Buffalo Bills
CAR | Carolina | Carolina Panthers
CHI | Chicago | Chicago Bears
CIN | Cincinnati | Cincinnati Bengals
CLE | Cleveland | Cleveland Browns
DAL | Dallas | Dallas Cowboys
DEN | Denver | Denver Broncos
DET | Detroit | Detroit Lions
GB | Green Bay | Green Bay Packers
HOU | Houston | Houston Texans
IND | Indianapolis | Indianapolis Colts
JAC | Jacksonville | Jacksonville Jaguars
KC | Kansas City | Kansas City Chiefs
LAC | Los Angeles C | Los Angeles Chargers
LAR | Los Angeles R | Los Angeles Rams
LV | Las Vegas | Las Vegas Raiders
MIA | Miami | Miami Dolphins
MIN | Minnesota | Minnesota Vikings
NE | New England | New England Patriots
NO | New Orleans | New Orleans Saints
NYG | New York G | New York Giants
NYJ | New York J | New York Jets
PHI | Philadelphia | Philadelphia Eagles
PIT | Pittsburgh | Pittsburgh Steelers
SEA | Seattle | Seattle Seahawks
SF | San Francisco | San Francisco 49ers
TB | Tampa Bay | Tampa Bay Buccaneers
TEN | Tennessee | Tennessee Titans
WAS | Washington | Washington Commanders
"""

_NHL = """
ANA | Anaheim | Anaheim Ducks
BOS | Boston | Boston Bruins
BUF | Buffalo | Buffalo Sabres
CAR | Carolina | Carolina Hurricanes
CBJ | Columbus | Columbus Blue Jackets
CGY | Calgary | Calgary Flames
CHI | Chicago | Chicago Blackhawks
COL | Colorado | Colorado Avalanche
DAL | Dallas | Dallas Stars
DET | Detroit | Detroit Red Wings
EDM | Edmonton | Edmonton Oilers
FLA | Florida | Florida Panthers
LA | Los Angeles | Los Angeles Kings
MIN | Minnesota | Minnesota Wild
MTL | Montreal | Montréal Canadiens
NJ | New Jersey | New Jersey Devils
NSH | Nashville | Nashville Predators
NYI | New York I | New York Islanders
NYR | New York R | New York Rangers
OTT | Ottawa | Ottawa Senators
PHI | Philadelphia | Philadelphia Flyers
PIT | Pittsburgh | Pittsburgh Penguins
SEA | Seattle | Seattle Kraken
SJ | San Jose | San Jose Sharks
STL | St. Louis | St Louis Blues
TB | Tampa Bay | Tampa Bay Lightning
TOR | Toronto | Toronto Maple Leafs
UTA | Utah | Utah Mammoth
VAN | Vancouver | Vancouver Canucks
VGK | Vegas | Vegas Golden Knights
WPG | Winnipeg | Winnipeg Jets
WSH | Washington | Washington Capitals
"""

_MLB = """
ATH | A's | Athletics
ATL | Atlanta | Atlanta Braves
AZ | Arizona | Arizona Diamondbacks
BAL | Baltimore | Baltimore Orioles
BOS | Boston | Boston Red Sox
CHC | Chicago C | Chicago Cubs
CIN | Cincinnati | Cincinnati Reds
CLE | Cleveland | Cleveland Guardians
COL | Colorado | Colorado Rockies
CWS | Chicago WS | Chicago White Sox
DET | Detroit | Detroit Tigers
HOU | Houston | Houston Astros
KC | Kansas City | Kansas City Royals
LAA | Los Angeles A | Los Angeles Angels
LAD | Los Angeles D | Los Angeles Dodgers
MIA | Miami | Miami Marlins
MIL | Milwaukee | Milwaukee Brewers
MIN | Minnesota | Minnesota Twins
NYM | New York M | New York Mets
NYY | New York Y | New York Yankees
PHI | Philadelphia | Philadelphia Phillies
PIT | Pittsburgh | Pittsburgh Pirates
SD | San Diego | San Diego Padres
SEA | Seattle | Seattle Mariners
SF | San Francisco | San Francisco Giants
STL | St. Louis | St. Louis Cardinals
TB | Tampa Bay | Tampa Bay Rays
TEX | Texas | Texas Rangers
TOR | Toronto | Toronto Blue Jays
WSH | Washington | Washington Nationals
"""

_EPL = """
ARS | Arsenal | Arsenal
AVL | Aston Villa | Aston Villa
BOU | Bournemouth | Bournemouth
BRE | Brentford | Brentford
BRI | Brighton | Brighton and Hove Albion
BUR | Burnley | Burnley
CFC | Chelsea | Chelsea
CRY | Crystal Palace | Crystal Palace
EVE | Everton | Everton
FUL | Fulham | Fulham
LEE | Leeds United | Leeds United
LFC | Liverpool | Liverpool
MCI | Manchester City | Manchester City
MUN | Manchester United | Manchester United
NEW | Newcastle | Newcastle United
NFO | Nottingham | Nottingham Forest
SUN | Sunderland | Sunderland
TOT | Tottenham | Tottenham Hotspur
WHU | West Ham | West Ham United
WOL | Wolverhampton | Wolverhampton Wanderers
"""

LEAGUES = (
    League(
        "NBA", "KXNBAGAME", "Pro basketball game", "Pro Basketball (M)", "Basketball", "basketball",
        "basketball_nba", "Basketball", "NBA", minutes=4.0, share=0.27, plays=80,
        teams=_teams("NBA", _NBA),
    ),
    League(
        "NFL", "KXNFLGAME", "Pro football game", "Pro Football", "Football", "football",
        "americanfootball_nfl", "American Football", "NFL", minutes=5.5, share=0.17, plays=26,
        teams=_teams("NFL", _NFL),
    ),
    League(
        "NHL", "KXNHLGAME", "Pro hockey game", "Pro Hockey", "Hockey", "hockey",
        "icehockey_nhl", "Ice Hockey", "NHL", minutes=4.0, share=0.19, plays=16,
        teams=_teams("NHL", _NHL),
    ),
    League(
        "MLB", "KXMLBGAME", "Pro baseball game", "Pro Baseball", "Baseball", "baseball",
        "baseball_mlb", "Baseball", "MLB", minutes=4.5, share=0.22, plays=34,
        teams=_teams("MLB", _MLB), clock=True,
    ),
    League(
        "EPL", "KXEPLGAME", "English Premier League game", "EPL", "Soccer", "soccer",
        "soccer_epl", "Soccer", "EPL", minutes=3.5, share=0.15, plays=12,
        teams=_teams("EPL", _EPL), tie=True,
    ),
)  # fmt: skip

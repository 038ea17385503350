"""The price grid of a market: which YES prices an order may carry (kalshi-api.md section 3.2)."""

import msgspec

from bot.core.units import ONE, Price


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices start, start+step, ... up to end, in 1/10,000 dollar."""

    start: Price
    end: Price
    step: Price


class PriceGrid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bands in ascending order. 0 and 1 dollar are never valid prices."""

    bands: tuple[Band, ...]

    def valid(self, price: int) -> bool:
        return 0 < price < ONE and any(
            b.start <= price <= b.end and (price - b.start) % b.step == 0 for b in self.bands
        )

    def down(self, price: int) -> Price:
        """The highest valid price at or below `price`; the lowest valid one when there is none."""
        candidates = [
            b.start + (min(price, b.end) - b.start) // b.step * b.step for b in self.bands if b.start <= price
        ]
        return self._inside(max(candidates, default=0))

    def up(self, price: int) -> Price:
        """The lowest valid price at or above `price`; the highest valid one when there is none."""
        candidates = [
            b.start + -(-(max(price, b.start) - b.start) // b.step) * b.step for b in self.bands if price <= b.end
        ]
        return self._inside(min(candidates, default=ONE))

    def lowest(self) -> Price:
        first = self.bands[0]
        return Price(first.start if first.start > 0 else first.step)

    def highest(self) -> Price:
        last = self.bands[-1]
        return Price(last.end if last.end < ONE else ONE - last.step)

    def _inside(self, price: int) -> Price:
        return Price(min(max(price, self.lowest()), self.highest()))


CENT_GRID = PriceGrid((Band(Price(0), ONE, Price(100)),))

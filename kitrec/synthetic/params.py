"""Section `world` of params.yaml: size of the synthetic world and the weights of its choice model."""

from typing import Annotated

from pydantic import Field

from kitrec.core.params import rules, section

Share = Annotated[float, Field(ge=0, lt=1)]
Strength = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


@section
class World:
    books: Count
    movies: Count
    music: Count
    themes: Annotated[int, Field(ge=4)]
    favourites: Annotated[int, Field(ge=2)]
    communities: Annotated[int, Field(ge=2)]
    theme_strength: Strength
    community_strength: Strength
    popularity_strength: Strength
    recency_strength: Strength
    mean_books_per_user: Annotated[int, Field(ge=6)]
    mean_target_items_per_user: Annotated[int, Field(ge=6)]
    movies_without_metadata: Share
    description_words: Annotated[int, Field(ge=0)]

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.favourites < self.themes, f"favourites ({self.favourites}) must be fewer than themes ({self.themes})"
        )
        for domain in ("books", "movies", "music"):
            minimum = 3 * max(self.mean_books_per_user, self.mean_target_items_per_user)
            require(
                getattr(self, domain) >= minimum, f"{domain} must be at least {minimum}, three times the mean history"
            )
        done()

    def items(self, domain: str) -> int:
        """Return the number of items of a domain."""
        return {"books": self.books, "movies": self.movies, "music": self.music}[domain]

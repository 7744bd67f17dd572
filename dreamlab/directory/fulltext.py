"""Full-text relevance (BM25, Lucene's variant, by the library bm25s) over short texts.

Words are stemmed by Snowball's English stemmer. Not a store: the index lives in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dreamlab.directory.words import content_words


class FullText:
    """An index over texts; `scores` gives the relevance of each of them to a query."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s
        import Stemmer

        self._stemmer: Any = Stemmer.Stemmer("english")
        tokens = [self._tokens(text) or [""] for text in texts]
        self._known = {token for text in tokens for token in text}
        self._size = len(texts)
        self._index: Any = bm25s.BM25(method="lucene")
        if self._size:
            self._index.index(tokens, show_progress=False)

    def scores(self, query: str) -> list[float]:
        """Relevance of each text to `query`, 0 where they share no word."""
        tokens = [t for t in dict.fromkeys(self._tokens(query)) if t in self._known]
        if not tokens or not self._size:
            return [0.0] * self._size
        return [float(score) for score in self._index.get_scores(tokens)]

    def shared(self, query: str, text: str) -> tuple[str, ...]:
        """The words of `query` that `text` contains up to their stem, as the query wrote them."""
        stems = set(self._tokens(text))
        asked = dict.fromkeys(content_words(query))
        return tuple(word for word in asked if self._stemmer.stemWord(word) in stems)

    def _tokens(self, text: str) -> list[str]:
        return list(self._stemmer.stemWords(content_words(text)))

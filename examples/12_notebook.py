"""`marimo edit examples/12_notebook.py`: a pipeline and its graph in a notebook. It runs as a program, too: `python examples/12_notebook.py`.

Needs `pip install './crates/messagekit-python[marimo]'`.
"""

import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    from pydantic import BaseModel

    from messagekit_rs import Source

    class Item(BaseModel):
        url: str
        title: str

    class Word(BaseModel):
        text: str

    return Item, Source, Word, mo


@app.cell
def _(Item, Source, Word):
    # In memory, so that a cell may run again; a path keeps the topics.
    source = Source(":memory:")
    items = source.topic("rss.items", Item, dedup=["url"])
    words = source.topic("rss.words", Word, dedup=["text"])
    items.extend_if_new(Item(url=f"https://example.org/{n}", title=f"{n} small steps") for n in range(5))
    splits = items.pipe(lambda item: [Word(text=f"{item.url} {word}") for word in item.title.split()]).to(words)
    results = splits.run()
    print(len(results), "records handled,", words.count(), "words")
    return splits, words


@app.cell
def _(mo, splits):
    mo.mermaid(splits.plot(counts=True))
    return


@app.cell
def _(mo, words):
    mo.ui.table([{"id": record.id, "word": record.data.text} for record in words.iter_new(records=True)])
    return


if __name__ == "__main__":
    app.run()

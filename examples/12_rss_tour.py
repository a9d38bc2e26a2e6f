"""`python examples/12_rss_tour.py [FILE]`: three feeds become one, through seven pipelines in one SQLite file.

Needs `pip install ./crates/messagekit-python`. A second run over the same file finds nothing to do. `12_rss_tour.rs` is the same in Rust.
"""

from __future__ import annotations

import sys

from pydantic import BaseModel

from messagekit_rs import Source


class Video(BaseModel):
    url: str
    title: str
    creator: str
    seconds: int


class Post(BaseModel):
    url: str
    title: str
    author: str
    html: str


class Story(BaseModel):
    url: str
    title: str
    user: str
    points: int


class Entry(BaseModel):
    url: str
    title: str
    author: str
    score: int


def of_video(video: Video) -> Entry:
    return Entry(url=video.url, title=video.title.strip(), author=video.creator, score=video.seconds // 60)


def of_post(post: Post) -> Entry:
    words = [word for word in post.html.split() if not word.startswith("<")]
    return Entry(url=post.url, title=post.title, author=post.author, score=10 * len(words))


def of_story(story: Story) -> Entry:
    return Entry(url=story.url, title=story.title, author=story.user, score=story.points)


def best_of(entry: Entry) -> Entry | None:
    return entry if entry.score >= 50 else None


VIDEOS = [
    Video(url=f"https://videos.example/{name}", title=f"  {name} explained ", creator="ada", seconds=seconds)
    for name, seconds in [("waves", 1_320), ("primes", 4_200)]
]
POSTS = [
    Post(url=f"https://blog.example/{name}", title=name, author="grace", html=html)
    for name, html in [("compilers", "<p> they translate what people write </p>"), ("bugs", "<p> a moth </p>")]
]
STORIES = [
    Story(url=f"https://news.example/{name}", title=name, user="alan", points=points)
    for name, points in [("machines", 120), ("tests", 7)]
]


def tour(source: Source) -> None:
    videos = source.topic("raw.videos", Video, dedup=["url"])
    posts = source.topic("raw.posts", Post, dedup=["url"])
    stories = source.topic("raw.stories", Story, dedup=["url"])
    videos.extend_if_new(VIDEOS)
    posts.extend_if_new(POSTS)
    stories.extend_if_new(STORIES)
    names = ["clean.videos", "clean.posts", "clean.stories", "feed", "best"]
    clean_videos, clean_posts, clean_stories, feed, best = (source.topic(name, Entry, dedup=["url"]) for name in names)

    graph = source.full_pipeline(
        videos.pipe(of_video).to(clean_videos),
        posts.pipe(of_post).to(clean_posts),
        stories.pipe(of_story).to(clean_stories),
        clean_videos.pipe(lambda entry: entry).to(feed),
        clean_posts.pipe(lambda entry: entry).to(feed),
        clean_stories.pipe(lambda entry: entry).to(feed),
        feed.pipe(best_of).to(best),
    )
    results = graph.run()
    print(sum(len(of_one) for of_one in results), "records handled")
    if any(results):
        print(graph.plot(counts=True))
        for entry in best.iter_new():
            print(f"{entry.score:>4}  {entry.title}, by {entry.author}")


if __name__ == "__main__":
    with Source(sys.argv[1] if len(sys.argv) > 1 else ":memory:") as source:
        tour(source)
        tour(source)

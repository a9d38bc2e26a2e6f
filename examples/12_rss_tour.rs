//! `cargo run -p messagekit-examples --bin 12-rss-tour [FILE]`: three feeds become one, through seven pipelines in one SQLite file.
//!
//! Nothing else is needed. A second run over the same file finds nothing to do. `12_rss_tour.py` is the same in Python.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::convert::Infallible;
use std::error::Error;
use std::path::{Path, PathBuf};

use messagekit_sqlite::SqliteStore;
use messagekit_topics::{Pipeline, Topic, Topics};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Video {
    url: String,
    title: String,
    creator: String,
    seconds: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Post {
    url: String,
    title: String,
    author: String,
    html: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Story {
    url: String,
    title: String,
    user: String,
    points: u32,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Entry {
    url: String,
    title: String,
    author: String,
    score: u32,
}

type File = Topics<SqliteStore>;
type Entries = Topic<Entry, SqliteStore>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = std::env::args_os().nth(1).map_or_else(|| folder.path().join("rss.db"), PathBuf::from);
    tour(&path).await?;
    tour(&path).await
}

async fn tour(path: &Path) -> Result<(), Box<dyn Error>> {
    let topics = Topics::open(path).await?;
    let videos = fetched(&topics, "raw.videos", &videos()).await?;
    let posts = fetched(&topics, "raw.posts", &posts()).await?;
    let stories = fetched(&topics, "raw.stories", &stories()).await?;
    let open = async |name: &str| topics.topic::<Entry>(name.to_owned()).dedup(["url"]).open().await;
    let (clean_videos, clean_posts) = (open("clean.videos").await?, open("clean.posts").await?);
    let (clean_stories, feed, best) =
        (open("clean.stories").await?, open("feed").await?, open("best").await?);

    let graph = topics.full_pipeline([
        videos.pipe(async |video| ok(of_video(video))).to(&clean_videos),
        posts.pipe(async |post| ok(of_post(post))).to(&clean_posts),
        stories.pipe(async |story| ok(of_story(story))).to(&clean_stories),
        passed_on(&clean_videos, &feed),
        passed_on(&clean_posts, &feed),
        passed_on(&clean_stories, &feed),
        feed.filter_map(async |entry: Entry| ok((entry.score >= 50).then_some(entry))).to(&best),
    ])?;
    let run = graph.run().await?;
    println!("{} records handled, {} appended", run.handled, run.appended);
    if run.handled > 0 {
        println!("{}", graph.plot_with_counts().await?);
    }
    Ok(topics.close().await?)
}

/// Opens a topic and appends what it does not have.
async fn fetched<T>(topics: &File, name: &str, items: &[T]) -> Result<Topic<T, SqliteStore>, Box<dyn Error>>
where
    T: Serialize + DeserializeOwned + JsonSchema,
{
    let topic = topics.topic::<T>(name.to_owned()).dedup(["url"]).open().await?;
    topic.extend_if_new(items).await?;
    Ok(topic)
}

fn passed_on(from: &Entries, to: &Entries) -> Pipeline<SqliteStore> {
    from.pipe(async |entry: Entry| ok(entry)).to(to)
}

fn ok<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

fn of_video(video: Video) -> Entry {
    Entry {
        url: video.url,
        title: video.title.trim().to_owned(),
        author: video.creator,
        score: video.seconds / 60,
    }
}

fn of_post(post: Post) -> Entry {
    let words = post.html.split_whitespace().filter(|word| !word.starts_with('<')).count();
    let score = u32::try_from(10 * words).unwrap_or(u32::MAX);
    Entry { url: post.url, title: post.title, author: post.author, score }
}

fn of_story(story: Story) -> Entry {
    Entry { url: story.url, title: story.title, author: story.user, score: story.points }
}

fn videos() -> Vec<Video> {
    let video = |name: &str, seconds| Video {
        url: format!("https://videos.example/{name}"),
        title: format!("  {name} explained "),
        creator: "ada".into(),
        seconds,
    };
    vec![video("waves", 1_320), video("primes", 4_200)]
}

fn posts() -> Vec<Post> {
    let post = |name: &str, html: &str| Post {
        url: format!("https://blog.example/{name}"),
        title: name.into(),
        author: "grace".into(),
        html: html.into(),
    };
    vec![post("compilers", "<p> they translate what people write </p>"), post("bugs", "<p> a moth </p>")]
}

fn stories() -> Vec<Story> {
    let story = |name: &str, points| Story {
        url: format!("https://news.example/{name}"),
        title: name.into(),
        user: "alan".into(),
        points,
    };
    vec![story("machines", 120), story("tests", 7)]
}

//! `empty` and `latest_only`: nothing. The engine carries them out itself unless somebody runs one in the foreground.

use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Done, On, Work};

/// Does nothing, well.
pub(crate) struct Empty;

impl Work for Empty {
    fn fields(&self) -> Map<String, Value> {
        Map::new()
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        on.begin("nothing");
        Box::pin(async { Done::success(IndexMap::new()) })
    }
}

//! Pages of long lists: which rows are asked for, and the ways to the neighbours.

use super::{parts::Pager, paths};

/// Rows of a page of a list.
pub(crate) const ROWS: u32 = 50;
/// The last page that can be asked for: what lies behind is found by searching.
const LAST: u32 = 100_000;

/// The first row of page `number`, which counts from 1.
pub(crate) fn offset(number: Option<u32>) -> u32 {
    (number.unwrap_or(1).clamp(1, LAST) - 1) * ROWS
}

/// `51 to 100 of 213`, and links that keep the rest of the query.
pub(crate) fn pager(
    path: &str,
    query: &[(&str, &str)],
    number: Option<u32>,
    shown: usize,
    total: i64,
) -> Pager {
    let number = number.unwrap_or(1).clamp(1, LAST);
    let first = i64::from(offset(Some(number))) + 1;
    let last = first - 1 + i64::try_from(shown).unwrap_or(0);
    let link = |page: u32| {
        let page = if page == 1 { String::new() } else { page.to_string() };
        let mut pairs = query.to_vec();
        pairs.push(("page", &page));
        paths::with_query(path, &pairs)
    };
    Pager {
        text: if shown == 0 { format!("none of {total}") } else { format!("{first} to {last} of {total}") },
        previous: (number > 1).then(|| link(number - 1)),
        next: (last < total && shown > 0).then(|| link(number + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_keep_the_rest_of_the_query() {
        let second = pager("/dags", &[("q", "a b"), ("tag", "")], Some(2), 50, 213);
        assert_eq!(second.text, "51 to 100 of 213");
        assert_eq!(second.previous.as_deref(), Some("/dags?q=a%20b"));
        assert_eq!(second.next.as_deref(), Some("/dags?q=a%20b&page=3"));
    }

    #[test]
    fn the_ends_have_one_neighbour() {
        let only = pager("/dags", &[], None, 7, 7);
        assert_eq!((only.text.as_str(), only.previous, only.next), ("1 to 7 of 7", None, None));
        let beyond = pager("/dags", &[], Some(9), 0, 7);
        assert_eq!((beyond.text.as_str(), beyond.next), ("none of 7", None));
        assert!(beyond.previous.is_some());
    }
}

//! The order in which the topics of a pipeline are drained.

use std::sync::Arc;

/// An edge of a pipeline: which topic and consumer it reads, and where it leads.
pub(crate) struct Edge<'a> {
    pub(crate) source: &'a Arc<str>,
    pub(crate) consumer: &'a Arc<str>,
    pub(crate) target: Option<&'a Arc<str>>,
}

/// Groups edges by what they read, each group after all that lead to its source, and otherwise in the order of the edges. Returns the
/// topics that are left when they lead in a circle.
///
/// The algorithm is that of A. B. Kahn (1962).
pub(crate) fn groups(edges: &[Edge<'_>]) -> Result<Vec<Vec<usize>>, Vec<Arc<str>>> {
    let mut left: Vec<usize> = (0..edges.len()).collect();
    let mut groups = Vec::new();
    while let Some(first) = left.iter().copied().find(|edge| {
        let source = edges[*edge].source;
        left.iter().all(|other| edges[*other].target != Some(source))
    }) {
        let of_group = |edge: &usize| {
            edges[*edge].source == edges[first].source && edges[*edge].consumer == edges[first].consumer
        };
        let (group, others) = left.into_iter().partition(of_group);
        groups.push(group);
        left = others;
    }
    if left.is_empty() {
        return Ok(groups);
    }
    let mut circle: Vec<Arc<str>> = left.iter().map(|edge| edges[*edge].source.clone()).collect();
    circle.dedup();
    Err(circle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(edges: &[(&str, &str)]) -> Result<Vec<Vec<usize>>, Vec<String>> {
        let names: Vec<(Arc<str>, Arc<str>)> =
            edges.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect();
        let consumer: Arc<str> = "default".into();
        let edges: Vec<Edge<'_>> = names
            .iter()
            .map(|(source, target)| Edge { source, consumer: &consumer, target: Some(target) })
            .collect();
        groups(&edges).map_err(|circle| circle.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_topic_is_drained_after_all_that_lead_to_it() {
        assert_eq!(
            grouped(&[("c", "d"), ("b", "c"), ("a", "b"), ("a", "c")]),
            Ok(vec![vec![2, 3], vec![1], vec![0]])
        );
        assert_eq!(grouped(&[("a", "c"), ("b", "c"), ("a", "d")]), Ok(vec![vec![0, 2], vec![1]]));
        assert_eq!(grouped(&[]), Ok(vec![]));
    }

    #[test]
    fn a_circle_is_named() {
        let circle = grouped(&[("a", "b"), ("b", "c"), ("c", "b")]).unwrap_err();
        assert_eq!(circle, ["b", "c"]);
        assert_eq!(grouped(&[("a", "a")]).unwrap_err(), ["a"]);
    }
}

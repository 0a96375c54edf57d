//! Histograms of durations, with round numbers as bucket edges.

use std::collections::BTreeMap;

use serde::Serialize;

/// Most lines of a histogram.
const MOST_BUCKETS: usize = 14;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Bucket edges by factors of about 2, and by factors of about 10.
const FINE: [u64; 31] = [
    0,
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    20 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    5 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
    100 * DAY,
    1_000 * DAY,
];
const COARSE: [u64; 14] = [
    0,
    1,
    10,
    100,
    SECOND,
    10 * SECOND,
    MINUTE,
    10 * MINUTE,
    HOUR,
    6 * HOUR,
    DAY,
    7 * DAY,
    30 * DAY,
    1_000 * DAY,
];

#[derive(Debug, Clone, Serialize)]
pub struct Bucket {
    pub from: u64,
    pub to: u64,
    pub runs: BTreeMap<&'static str, u64>,
}

/// Counts durations in buckets on an approximately logarithmic scale.
pub(super) fn histogram(ends: &BTreeMap<&'static str, Vec<u64>>) -> Vec<Bucket> {
    let all = || ends.values().flatten().copied();
    let (Some(least), Some(most)) = (all().min(), all().max()) else { return Vec::new() };
    let fine = edges(least, most, &FINE);
    let edges = if fine.len() > MOST_BUCKETS { edges(least, most, &COARSE) } else { fine };
    let buckets = edges.windows(2).map(|edge| {
        let count =
            |took: &Vec<u64>| took.iter().filter(|took| (edge[0]..edge[1]).contains(*took)).count() as u64;
        let runs = ends.iter().map(|(end, took)| (*end, count(took))).filter(|(_, count)| *count > 0);
        Bucket { from: edge[0], to: edge[1], runs: runs.collect() }
    });
    buckets.collect()
}

/// From the last edge that is not above `least` to the first that is above `most`.
fn edges(least: u64, most: u64, all: &[u64]) -> Vec<u64> {
    let first = all.iter().rposition(|edge| *edge <= least).unwrap_or_default();
    let inner = all[first..].iter().copied().take_while(|edge| *edge <= most);
    let last = all.iter().copied().find(|edge| *edge > most).unwrap_or(most.saturating_add(1));
    inner.chain([last]).collect()
}

/// Formats the edge of a bucket.
pub(super) fn edge(millis: u64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let unit = units.into_iter().find(|(unit, _)| millis >= *unit);
    unit.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_in_one_bucket() {
        let ends = BTreeMap::from([("completed", vec![0, 1, 99, 100, 5_000]), ("stuck", vec![1_000 * DAY])]);
        let buckets = histogram(&ends);
        assert!(buckets.len() <= MOST_BUCKETS);
        let sum: u64 = buckets.iter().flat_map(|bucket| bucket.runs.values()).sum();
        assert_eq!(sum, 6);
        assert_eq!([5_000, 120_000, 2 * DAY].map(edge), ["5s", "2m", "2d"]);
    }
}

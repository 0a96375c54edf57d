//! Path counts of states, and the states from which a path leads to an end.

/// Counts the paths from the first state to each state. The state space has no cycles; states on one would not be counted.
pub(super) fn count(states: usize, edges: &[(u32, u32)]) -> Vec<f64> {
    let mut to_come = vec![0_u32; states];
    let mut first = vec![0_usize; states + 1];
    for (from, to) in edges {
        to_come[*to as usize] += 1;
        first[*from as usize + 1] += 1;
    }
    for index in 1..=states {
        first[index] += first[index - 1];
    }
    let mut next = first.clone();
    let mut targets = vec![0_u32; edges.len()];
    for (from, to) in edges {
        let place = &mut next[*from as usize];
        targets[*place] = *to;
        *place += 1;
    }
    let mut paths = vec![0.0; states];
    let mut ready = vec![0_usize];
    paths[0] = 1.0;
    while let Some(from) = ready.pop() {
        for to in &targets[first[from]..first[from + 1]] {
            let to = *to as usize;
            paths[to] += paths[from];
            to_come[to] -= 1;
            if to_come[to] == 0 {
                ready.push(to);
            }
        }
    }
    paths
}

/// Returns for each state whether a path leads to one of `ends`.
pub(super) fn lead_to<'a>(
    states: usize,
    edges: impl Iterator<Item = &'a (u32, u32)> + Clone,
    ends: &[u32],
) -> Vec<bool> {
    let mut first = vec![0_usize; states + 1];
    edges.clone().for_each(|(_, to)| first[*to as usize + 1] += 1);
    for index in 1..=states {
        first[index] += first[index - 1];
    }
    let mut next = first.clone();
    let mut sources = vec![0_u32; first[states]];
    for (from, to) in edges {
        let place = &mut next[*to as usize];
        sources[*place] = *from;
        *place += 1;
    }
    let mut leads = vec![false; states];
    let mut ready: Vec<usize> = ends.iter().map(|end| *end as usize).collect();
    while let Some(to) = ready.pop() {
        if !std::mem::replace(&mut leads[to], true) {
            ready.extend(sources[first[to]..first[to + 1]].iter().map(|from| *from as usize));
        }
    }
    leads
}

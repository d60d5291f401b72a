/// The candidate that `word` most likely was meant to be, if any is near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = fold(word);
    let near = |candidate: &&str| distance(&word, &fold(candidate));
    let best = candidates.into_iter().min_by_key(near)?;
    // A third of the letters may be wrong, so that a short word does not suggest any other.
    (near(&best) <= word.len().max(3) / 3).then_some(best)
}

/// Letters that count: upper case and the kind of the separator do not.
fn fold(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).take(64).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    let at = |rows: &[Vec<usize>], i: usize, j: usize| {
        rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(usize::MAX - 1)
    };
    for (i, left) in a.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, right) in b.iter().enumerate() {
            let mut cost = (at(&rows, i, j) + usize::from(left != right))
                .min(at(&rows, i, j + 1) + 1)
                .min(at(&rows, i + 1, j) + 1);
            let swapped =
                i > 0 && j > 0 && a.get(i - 1) == Some(right) && b.get(j - 1) == Some(left);
            if swapped {
                cost = cost.min(at(&rows, i - 1, j - 1) + 1);
            }
            rows.last_mut().expect("a row was pushed").push(cost);
        }
    }
    at(&rows, a.len(), b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        let count = |a, b| distance(&fold(a), &fold(b));
        assert_eq!(count("", ""), 0);
        assert_eq!(count("", "ab"), 2);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("bnid", "bind"), 1);
        assert_eq!(count("Max-Queued", "max_queued"), 0);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let keys = ["max_connections", "bind", "name"];
        assert_eq!(nearest("max_conections", keys), Some("max_connections"));
        assert_eq!(nearest("bnid", keys), Some("bind"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", []), None);
    }
}

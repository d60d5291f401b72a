//! How the sets of topics lie to each other that two valid filters (without `$share`) describe.

/// Whether `outer` matches every topic that `inner` matches.
pub(crate) fn covers(outer: &str, inner: &str) -> bool {
    //= mqtt5:4.7.2-1
    //= mqtt311:4.7.2-1
    if outer.starts_with(['+', '#']) && inner.starts_with('$') {
        return false;
    }
    let (mut outers, mut inners) = (outer.split('/'), inner.split('/'));
    let mut place = 0;
    loop {
        match (outers.next(), inners.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(level), Some("#")) => {
                // `#` matches the parent too, which `+/#` does not; but no topic is empty, so that
                // at these two places there is no parent.
                let parentless = place == 0 || (place == 1 && inner.starts_with('/'));
                return parentless && level == "+" && outers.next() == Some("#");
            }
            (Some("+"), Some(_)) => {}
            (Some(o), Some(i)) if o == i => {}
            _ => return false,
        }
        place += 1;
    }
}

/// Whether some topic is matched by both filters.
pub(crate) fn overlaps(a: &str, b: &str) -> bool {
    //= mqtt5:4.7.2-1
    //= mqtt311:4.7.2-1
    let wild = ['+', '#'];
    if (a.starts_with('$') && b.starts_with(wild)) || (b.starts_with('$') && a.starts_with(wild)) {
        return false;
    }
    let (mut left, mut right) = (a.split('/'), b.split('/'));
    let mut place = 0;
    loop {
        match (left.next(), right.next()) {
            (None, Some("#")) | (Some("#"), None) => {
                // What both match is the parent: no topic if that were the empty one.
                return place != 1 || !(a.starts_with('/') || b.starts_with('/'));
            }
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(l), Some(r)) if l == r => {}
            _ => return false,
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use core_model::{Filter, check_topic_name, filter_matches};
    use proptest::prelude::*;

    use super::*;

    fn words<const N: usize>(levels: [&str; N], most: usize) -> Vec<String> {
        let mut all: Vec<String> = levels.iter().map(ToString::to_string).collect();
        let mut last = all.clone();
        for _ in 1..most {
            last = last.iter().flat_map(|w| levels.map(|l| format!("{w}/{l}"))).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    /// Topics that tell any two filters of up to three levels of [`filters`] apart: `x` and `$x`
    /// stand for all names that no filter writes out, and there is a level more than in any filter.
    fn topics() -> Vec<String> {
        let mut all = words(["", "a", "$a", "x", "$x"], 4);
        all.retain(|topic| check_topic_name(topic).is_ok());
        all
    }

    fn filters() -> Vec<String> {
        let mut all = words(["", "a", "$a", "+", "#"], 3);
        all.retain(|filter| Filter::parse(filter).is_ok());
        all
    }

    #[test]
    fn covering_and_overlapping_are_exact() {
        let (filters, topics) = (filters(), topics());
        let matched: Vec<Vec<bool>> =
            filters.iter().map(|f| topics.iter().map(|t| filter_matches(f, t)).collect()).collect();
        for (a, of_a) in filters.iter().zip(&matched) {
            for (b, of_b) in filters.iter().zip(&matched) {
                let both = of_a.iter().zip(of_b);
                assert_eq!(overlaps(a, b), both.clone().any(|(a, b)| *a && *b), "{a} {b}");
                assert_eq!(covers(a, b), both.clone().all(|(a, b)| *a || !*b), "{a} {b}");
            }
        }
    }

    #[test]
    fn what_is_known_of_filters_holds() {
        for (outer, inner) in
            [("#", "+/#"), ("+/#", "#"), ("a/#", "a"), ("/+/#", "/#"), ("+/+", "/a")]
        {
            assert!(covers(outer, inner), "{outer} {inner}");
        }
        for (outer, inner) in
            [("#", "$SYS/#"), ("+/#", "$SYS"), ("a/+/#", "a/#"), ("a/+", "a/#"), ("+", "#")]
        {
            assert!(!covers(outer, inner), "{outer} {inner}");
        }
        assert!(overlaps("+/secret", "a/#") && overlaps("a", "a/#"));
        assert!(!overlaps("#", "$SYS/#") && !overlaps("+", "/#"));
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["", "a", "b", "aa", "$", "$SYS", "+", "ü"]);
        (prop::collection::vec(level, 1..6), any::<bool>())
            .prop_map(|(levels, all)| levels.join("/") + if all { "/#" } else { "" })
            .prop_filter("valid", |text| Filter::parse(text).is_ok())
    }

    /// A topic that `filter` matches, with its wildcards replaced as `fill` says.
    fn topic_of(filter: &str, fill: &[String]) -> String {
        let mut fill = fill.iter().cycle();
        let levels: Vec<String> = filter
            .split('/')
            .map(|level| match level {
                "+" | "#" => fill.next().cloned().unwrap_or_default(),
                name => name.to_owned(),
            })
            .collect();
        levels.join("/")
    }

    proptest! {
        #[test]
        fn longer_filters_agree_with_what_they_match(
            a in filter(),
            b in filter(),
            fill in prop::collection::vec("[ab]{0,2}", 1..6),
        ) {
            prop_assert_eq!(overlaps(&a, &b), overlaps(&b, &a));
            prop_assert!(covers(&a, &a));
            if covers(&a, &b) {
                prop_assert!(overlaps(&a, &b));
            }
            let topic = topic_of(&a, &fill);
            if check_topic_name(&topic).is_ok() && filter_matches(&a, &topic) {
                let by_b = filter_matches(&b, &topic);
                prop_assert!(!by_b || overlaps(&a, &b));
                prop_assert!(by_b || !covers(&b, &a));
            }
        }
    }
}

//! A log-linear histogram: 32 steps for each power of two, about 3 % resolution.

/// Counts of values, nanoseconds here.
pub struct Hist {
    buckets: Vec<u64>,
    n: u64,
    max: u64,
}

impl Hist {
    pub fn new() -> Hist {
        Hist { buckets: vec![0; 64 * 32], n: 0, max: 0 }
    }

    #[inline]
    pub fn add(&mut self, v: u64) {
        let i = if v < 32 {
            v as usize
        } else {
            let e = 63 - v.leading_zeros() as usize;
            (e - 4) * 32 + ((v >> (e - 5)) & 31) as usize
        };
        self.buckets[i] += 1;
        self.n += 1;
        self.max = self.max.max(v);
    }

    /// The lower edge of the bucket that holds quantile `q`.
    fn quantile(&self, q: f64) -> u64 {
        let want = (q * self.n as f64).ceil() as u64;
        let mut sum = 0;
        for (i, c) in self.buckets.iter().enumerate() {
            sum += c;
            if sum >= want && sum > 0 {
                return if i < 32 { i as u64 } else { (32 + (i as u64 & 31)) << (i / 32 - 1) };
            }
        }
        0
    }

    /// A JSON object of quantiles in microseconds, or `null` without values.
    pub fn json(&self) -> String {
        if self.n == 0 {
            return "null".into();
        }
        let us = |q| self.quantile(q) as f64 / 1000.0;
        format!(
            concat!(
                "{{\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\"p99_9_us\":{:.1},",
                "\"max_us\":{:.1},\"n\":{}}}"
            ),
            us(0.5),
            us(0.9),
            us(0.99),
            us(0.999),
            self.max as f64 / 1000.0,
            self.n
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Hist;

    #[test]
    fn quantiles_are_within_four_percent() {
        let mut h = Hist::new();
        for v in 1..=10_000u64 {
            h.add(v * 100);
        }
        for (q, exact) in [(0.5, 500_000.0), (0.99, 990_000.0)] {
            let got = h.quantile(q) as f64;
            assert!((got / exact - 1.0).abs() < 0.04, "quantile {q}: {got} instead of {exact}");
        }
        assert_eq!(h.max, 1_000_000);
    }
}

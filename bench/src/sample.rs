//! What many measurements of the same thing come to.

/// The value that half of the sample does not exceed. None of an empty sample.
pub fn median(sample: &[f64]) -> Option<f64> {
    percentile(sample, 50.0)
}

/// The smallest value that at least `percent` percent of the sample do not exceed (nearest rank: always one that was measured).
/// None of an empty sample.
pub fn percentile(sample: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut rank = 1;
    while rank < sorted.len() && (rank * 100) as f64 / (sorted.len() as f64) < percent {
        rank += 1;
    }
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(50.0, 5.0)]
    #[test_case(95.0, 10.0)]
    #[test_case(90.0, 9.0)]
    #[test_case(99.0, 10.0)]
    #[test_case(10.0, 1.0)]
    #[test_case(0.0, 1.0)]
    #[test_case(100.0, 10.0)]
    fn percentiles_of_ten(percent: f64, value: f64) {
        let sample = [10.0, 1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0, 9.0, 8.0];
        assert_eq!(percentile(&sample, percent), Some(value));
    }

    #[test]
    fn the_median_of_three_is_the_middle_one() {
        assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }
}

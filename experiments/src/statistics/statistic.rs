//! What a bootstrap can be made of: quotients of column totals, and differences of two of them. Knows
//! no resample.

/// A statistic: the product of the totals of the columns `over`, divided by that of `under`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotient {
    /// Columns multiplied in the numerator.
    pub over: Vec<usize>,
    /// Columns multiplied in the denominator.
    pub under: Vec<usize>,
}

impl Quotient {
    /// The ratio of two column totals.
    pub fn ratio(over: usize, under: usize) -> Self {
        Self { over: vec![over], under: vec![under] }
    }

    /// The statistic of these totals; `None` where the denominator is zero.
    pub fn value(&self, totals: &[f64]) -> Option<f64> {
        let product = |columns: &[usize]| columns.iter().map(|&column| totals[column]).product();
        let (over, under): (f64, f64) = (product(&self.over), product(&self.under));
        (under != 0.0).then(|| over / under)
    }
}

/// What a bootstrap can be made of: a function of column totals.
pub trait Statistic {
    /// Its value; `None` where it has none.
    fn value(&self, totals: &[f64]) -> Option<f64>;

    /// Whether a cluster with these sums tells anything of it.
    fn informed_by(&self, row: &[f64]) -> bool;
}

impl Statistic for Quotient {
    fn value(&self, totals: &[f64]) -> Option<f64> {
        Quotient::value(self, totals)
    }

    fn informed_by(&self, row: &[f64]) -> bool {
        self.under.iter().all(|&column| row[column] != 0.0)
    }
}

/// The difference of two statistics of the same clusters, which is paired thereby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What is taken away.
    pub from: Quotient,
    /// What it is taken away from.
    pub to: Quotient,
}

impl Statistic for Difference {
    fn value(&self, totals: &[f64]) -> Option<f64> {
        Some(self.to.value(totals)? - self.from.value(totals)?)
    }

    fn informed_by(&self, row: &[f64]) -> bool {
        self.from.informed_by(row) && self.to.informed_by(row)
    }
}

//! A linear program that is maximised again and again while columns are added: HiGHS keeps the
//! basis between, which `good_lp` cannot.

use highs::{Col, ColProblem, HighsModelStatus, Model, Sense};
use std::{
    mem,
    time::{Duration, Instant},
};

/// A row of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    at: highs::Row,
    index: usize,
}

/// Simplex or interior-point steps of one call at most: thousands of times what any program of
/// ours needs, so that a call that runs in circles ends.
const ITERATIONS_MAX: i32 = 1_000_000;

/// HiGHS's number for the dual simplex method: a basis that new bounds have cut off is still dual
/// feasible.
const DUAL: i32 = 1;

/// And for the primal one: a basis to which columns were added is still primal feasible, and takes
/// a fifth of the steps from there.
const PRIMAL: i32 = 4;

/// How a program is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Simplex from the basis of the last call: a corner, with the duals of that corner.
    Simplex,
    /// Interior point without crossover: duals in the middle of all that are optimal.
    Interior,
}

/// A program to maximise.
#[derive(Debug)]
pub struct Lp {
    state: State,
    rows: usize,
    time: Option<Duration>,
    /// HiGHS counts the time of all calls together.
    spent: Duration,
    columns: Vec<Col>,
    /// Bounds have changed since the last call.
    bounded: bool,
}

#[derive(Debug)]
enum State {
    /// Rows alone.
    Rows(Box<ColProblem>),
    /// In HiGHS, with its basis.
    Loaded(Model),
    /// HiGHS refused something: there is no answer any more.
    Lost,
}

/// An optimal answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What is maximised.
    pub value: f64,
    /// By column, in the order in which they were added.
    pub columns: Vec<f64>,
    /// By row: what one more unit of its right side adds to the value.
    pub duals: Vec<f64>,
}

impl Answer {
    /// What one more unit of a row's right side adds to the value.
    pub fn dual(&self, row: Row) -> f64 {
        self.duals[row.index]
    }

    fn is_finite(&self) -> bool {
        let values = self.columns.iter().chain(&self.duals);
        self.value.is_finite() && values.copied().all(f64::is_finite)
    }
}

impl Default for Lp {
    fn default() -> Self {
        Self {
            state: State::Rows(Box::default()),
            rows: 0,
            time: None,
            spent: Duration::ZERO,
            columns: Vec::new(),
            bounded: false,
        }
    }
}

impl Lp {
    /// Adds a row, which must come before all columns: its sum is within these bounds, which may
    /// be infinite.
    pub fn row(&mut self, low: f64, high: f64) -> Row {
        let State::Rows(problem) = &mut self.state else {
            unreachable!("rows come before columns");
        };
        let at = problem.add_row(low..=high);
        self.rows += 1;
        let index = self.rows - 1;
        Row { at, index }
    }

    /// Adds a column and returns its index.
    pub fn column(&mut self, gain: f64, low: f64, high: f64, entries: &[(Row, f64)]) -> usize {
        self.load();
        // HiGHS takes what is not a number for zero.
        let finite = gain.is_finite() && entries.iter().all(|(_, by)| by.is_finite());
        if !finite || low.is_nan() || high.is_nan() {
            self.state = State::Lost;
        }
        if let State::Loaded(model) = &mut self.state {
            let entries = entries.iter().map(|(row, by)| (row.at, *by));
            match model.try_add_column(gain, low..=high, entries) {
                Ok(column) => self.columns.push(column),
                Err(_) => self.state = State::Lost,
            }
        }
        self.columns.len().saturating_sub(1)
    }

    /// Columns so far.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Bounds a column anew; the basis stays.
    pub fn set_bounds(&mut self, column: usize, low: f64, high: f64) {
        self.bounded = true;
        // HiGHS panics at what is not a number.
        if low.is_nan() || high.is_nan() {
            self.state = State::Lost;
        }
        if let State::Loaded(model) = &mut self.state {
            model.change_column_bounds(self.columns[column], low..=high);
        }
    }

    /// Changes what one unit of a column is worth; the basis stays.
    pub fn set_gain(&mut self, column: usize, gain: f64) {
        if !gain.is_finite() {
            self.state = State::Lost;
        }
        if let State::Loaded(model) = &mut self.state {
            model.change_column_cost(self.columns[column], gain);
        }
    }

    /// Limits the time of each of the calls that follow.
    pub fn set_time_limit(&mut self, time: Option<Duration>) {
        self.time = time;
    }

    /// The optimum; nothing if there is none or HiGHS did not reach it.
    pub fn solve(&mut self, method: Method) -> Option<Answer> {
        self.load();
        let State::Loaded(mut model) = mem::replace(&mut self.state, State::Lost) else {
            return None;
        };
        configure(&mut model, method);
        let strategy = if mem::take(&mut self.bounded) {
            DUAL
        } else {
            PRIMAL
        };
        model.set_option("simplex_strategy", strategy);
        if let Some(time) = self.time {
            model.set_option("time_limit", (self.spent + time).as_secs_f64());
        }
        let began = Instant::now();
        let solved = model.try_solve().ok()?;
        self.spent += began.elapsed();
        let solution = solved.get_solution();
        let answer = Answer {
            value: solved.objective_value(),
            columns: solution.columns().to_vec(),
            duals: solution.dual_rows().to_vec(),
        };
        let optimal = solved.status() == HighsModelStatus::Optimal;
        self.state = State::Loaded(Model::from(solved));
        (optimal && answer.is_finite()).then_some(answer)
    }

    fn load(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Lost) {
            State::Rows(problem) => (*problem)
                .try_optimise(Sense::Maximise)
                .map_or(State::Lost, State::Loaded),
            other => other,
        };
    }
}

/// One thread makes it repeatable. Presolve would throw the basis away, and what it removes comes
/// back with the duals of a corner.
fn configure(model: &mut Model, method: Method) {
    let solver = match method {
        Method::Simplex => "simplex",
        Method::Interior => "ipx",
    };
    model.set_option("solver", solver);
    model.set_option("presolve", "off");
    model.set_option("run_crossover", "off");
    model.set_option("threads", 1);
    model.set_option("simplex_iteration_limit", ITERATIONS_MAX);
    model.set_option("ipm_iteration_limit", ITERATIONS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: f64 = 1e-6;

    /// 3x + 2y, where x + y <= 4 and x <= 3 by a row.
    fn small() -> (Lp, [Row; 2]) {
        let mut lp = Lp::default();
        let rows = [
            lp.row(f64::NEG_INFINITY, 4.0),
            lp.row(f64::NEG_INFINITY, 3.0),
        ];
        lp.column(3.0, 0.0, f64::INFINITY, &[(rows[0], 1.0), (rows[1], 1.0)]);
        lp.column(2.0, 0.0, f64::INFINITY, &[(rows[0], 1.0)]);
        (lp, rows)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < NEAR
    }

    #[test]
    fn duals_say_what_one_more_unit_of_a_row_is_worth() {
        for method in [Method::Simplex, Method::Interior] {
            let (mut lp, rows) = small();
            let answer = lp.solve(method).unwrap();
            assert!(near(answer.value, 11.0), "{answer:?}");
            assert!(near(answer.columns[0], 3.0) && near(answer.columns[1], 1.0));
            assert!(near(answer.dual(rows[0]), 2.0) && near(answer.dual(rows[1]), 1.0));
        }
    }

    #[test]
    fn columns_added_after_a_solve_are_used() {
        let (mut lp, rows) = small();
        lp.solve(Method::Simplex).unwrap();
        let third = lp.column(5.0, 0.0, 2.0, &[(rows[0], 1.0)]);
        let answer = lp.solve(Method::Simplex).unwrap();
        assert!(near(answer.value, 16.0) && near(answer.columns[third], 2.0));
        lp.set_bounds(third, 0.0, 1.0);
        assert!(near(lp.solve(Method::Simplex).unwrap().value, 14.0));
        lp.set_gain(third, 0.0);
        assert!(near(lp.solve(Method::Simplex).unwrap().value, 11.0));
    }

    #[test]
    fn there_is_no_answer_where_none_is_optimal() {
        let mut unbounded = Lp::default();
        unbounded.row(0.0, 1.0);
        unbounded.column(1.0, 0.0, f64::INFINITY, &[]);
        assert_eq!(unbounded.solve(Method::Simplex), None);
        let mut infeasible = Lp::default();
        let row = infeasible.row(2.0, 3.0);
        infeasible.column(1.0, 0.0, 1.0, &[(row, 1.0)]);
        assert_eq!(infeasible.solve(Method::Simplex), None);
        let mut refused = Lp::default();
        let row = refused.row(0.0, 3.0);
        refused.column(1.0, 0.0, 1.0, &[(row, f64::NAN)]);
        assert_eq!(refused.solve(Method::Simplex), None);
    }

    #[test]
    fn what_is_not_a_number_leaves_no_answer() {
        let changes: [fn(&mut Lp); 4] = [
            |lp| lp.set_bounds(0, f64::NAN, 1.0),
            |lp| lp.set_bounds(0, 0.0, f64::NAN),
            |lp| lp.set_gain(0, f64::NAN),
            |lp| lp.set_gain(0, f64::INFINITY),
        ];
        for change in changes {
            let (mut lp, _) = small();
            change(&mut lp);
            assert_eq!(lp.solve(Method::Simplex), None);
        }
    }
}

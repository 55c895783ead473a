//! Servers that share work: a dead one is taken out, its work goes to the others, and it is asked
//! again until it is back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use critique_core::threads::join_all;

use crate::error::RemoteError;
use crate::http::Http;

/// A pause of a worker that has nothing to do.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Pool {
    members: Vec<Member>,
    /// When some server last did what it was asked.
    last_good: Mutex<Instant>,
}

struct Member {
    http: Http,
    down: Mutex<Option<Down>>,
}

/// A server that is out.
#[derive(Debug, Clone)]
struct Down {
    tries: u32,
    next_try: Instant,
    cause: String,
}

/// What is left of one run.
struct Work<R> {
    waiting: VecDeque<Job>,
    done: Vec<Option<R>>,
    left: usize,
    failed: Option<RemoteError>,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    index: usize,
    tries: usize,
}

/// What a run of jobs is made of.
struct Run<'a, R> {
    pool: &'a Pool,
    work: Mutex<Work<R>>,
    give_up: Duration,
    /// How often one job may fail: it may itself be what takes servers down.
    most_tries: usize,
    sample: &'a (dyn Fn(usize, &Http, usize) -> Result<R, RemoteError> + Sync),
    revive: &'a (dyn Fn(&Http) -> Result<(), RemoteError> + Sync),
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Pool {
    pub(super) fn new(servers: Vec<Http>) -> Self {
        let member = |http| Member {
            http,
            down: Mutex::default(),
        };
        Self {
            members: servers.into_iter().map(member).collect(),
            last_good: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &Http> {
        self.members.iter().map(|it| &it.http)
    }

    /// Notes that a server is away; work is kept from it until it passes `revive`.
    pub(super) fn take_out(&self, server: usize, error: &RemoteError) {
        let member = &self.members[server];
        let mut down = lock(&member.down);
        let tries = down.as_ref().map_or(0, |it| it.tries) + 1;
        *down = Some(Down {
            tries,
            next_try: Instant::now() + member.http.patience.wait(tries),
            cause: error.chain(),
        });
    }

    /// Runs `count` jobs, `parallel` at a time on each server, and gives their results in order;
    /// fewer than `count` where it was stopped.
    pub(super) fn run<R: Send>(
        &self,
        count: usize,
        parallel: usize,
        give_up: Duration,
        sample: &(dyn Fn(usize, &Http, usize) -> Result<R, RemoteError> + Sync),
        revive: &(dyn Fn(&Http) -> Result<(), RemoteError> + Sync),
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<R>, RemoteError> {
        *lock(&self.last_good) = Instant::now();
        let run = Run {
            pool: self,
            work: Mutex::new(Work {
                waiting: (0..count).map(|index| Job { index, tries: 0 }).collect(),
                done: (0..count).map(|_| None).collect(),
                left: count,
                failed: None,
            }),
            give_up,
            most_tries: 2 * self.members.len() + 2,
            sample,
            revive,
            is_stopped,
        };
        std::thread::scope(|scope| {
            let run = &run;
            let each = parallel.clamp(1, count.max(1));
            let servers = (0..self.members.len()).flat_map(|server| vec![server; each]);
            let threads: Vec<_> = servers
                .map(|server| scope.spawn(move || run.serve(server)))
                .collect();
            join_all(threads);
        });
        let work = run
            .work
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match work.failed {
            Some(error) => Err(error),
            None => Ok(work.done.into_iter().flatten().collect()),
        }
    }

    fn causes(&self) -> Vec<String> {
        let cause = |member: &Member| lock(&member.down).as_ref().map(|it| it.cause.clone());
        self.members.iter().filter_map(cause).collect()
    }
}

impl<R: Send> Run<'_, R> {
    /// Takes jobs for one server until none is left.
    fn serve(&self, server: usize) {
        while !self.is_over() {
            if !self.is_up(server) {
                self.check_patience();
                std::thread::sleep(PAUSE);
                continue;
            }
            let job = lock(&self.work).waiting.pop_front();
            let Some(job) = job else {
                // Jobs of a server that dies come back.
                std::thread::sleep(PAUSE);
                continue;
            };
            let result = (self.sample)(server, &self.pool.members[server].http, job.index);
            self.settle(server, job, result);
        }
    }

    fn is_over(&self) -> bool {
        let work = lock(&self.work);
        work.left == 0 || work.failed.is_some() || (self.is_stopped)()
    }

    /// Whether a server is in; one that is out is tried when its time has come, by one worker.
    fn is_up(&self, server: usize) -> bool {
        let member = &self.pool.members[server];
        let Ok(mut down) = member.down.try_lock() else {
            return false;
        };
        let Some(state) = down.as_mut() else {
            return true;
        };
        if Instant::now() < state.next_try {
            return false;
        }
        match (self.revive)(&member.http) {
            Ok(()) => *down = None,
            Err(error) if error.is_transient() => {
                state.tries += 1;
                state.next_try = Instant::now() + member.http.patience.wait(state.tries);
                state.cause = error.chain();
            }
            // It is back, but as something else.
            Err(error) => self.fail(error),
        }
        down.is_none()
    }

    fn settle(&self, server: usize, job: Job, result: Result<R, RemoteError>) {
        match result {
            Ok(found) => {
                *lock(&self.pool.last_good) = Instant::now();
                let mut work = lock(&self.work);
                work.done[job.index] = Some(found);
                work.left -= 1;
            }
            Err(error) if is_busy(&error) => {
                lock(&self.work).waiting.push_back(job);
                std::thread::sleep(self.pool.members[server].http.patience.first_wait);
                self.check_patience_with(&error);
            }
            Err(error) if error.is_transient() || is_missing(&error) => {
                self.put_back(server, job, error);
            }
            Err(error) => self.fail(error),
        }
    }

    fn put_back(&self, server: usize, job: Job, error: RemoteError) {
        let tries = job.tries + 1;
        if tries >= self.most_tries {
            return self.fail(error);
        }
        self.pool.take_out(server, &error);
        let job = Job { tries, ..job };
        lock(&self.work).waiting.push_back(job);
    }

    fn fail(&self, error: RemoteError) {
        lock(&self.work).failed.get_or_insert(error);
    }

    fn check_patience(&self) {
        let waited = lock(&self.pool.last_good).elapsed();
        let causes = self.pool.causes();
        // While one server is in, its long samples are no reason to give up.
        if waited > self.give_up && causes.len() == self.pool.members.len() {
            let waited_secs = waited.as_secs();
            self.fail(RemoteError::NoServer {
                waited_secs,
                causes,
            });
        }
    }

    fn check_patience_with(&self, error: &RemoteError) {
        let waited = lock(&self.pool.last_good).elapsed();
        if waited > self.give_up {
            let (waited_secs, causes) = (waited.as_secs(), vec![error.chain()]);
            self.fail(RemoteError::NoServer {
                waited_secs,
                causes,
            });
        }
    }
}

fn is_busy(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Status {
            status: 429 | 503,
            ..
        }
    )
}

/// A server that was started anew has no adapter; it gets it back by `revive`.
fn is_missing(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Status { status: 404, .. })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A store that calls whatever its table of methods has, written once for every store.

/// What an argument is in a table or a trait, as a value that a fault may change, and in a call.
macro_rules! argument {
    ($life:lifetime &mut; $tx:ident $type:ty) => { &$life mut $type };
    ($life:lifetime &[&$type:ty]) => { &$life [&$life $type] };
    ($life:lifetime &$type:ty) => { &$life $type };
    ($life:lifetime $type:ty) => { $type };
    (owned &[&$type:ty]) => { Vec<&$type> };
    (owned &$type:ty) => { <$type as ToOwned>::Owned };
    (owned $type:ty) => { $type };
    (own $name:ident & $($type:tt)*) => { $name.to_owned() };
    (own $name:ident $($type:tt)*) => { $name };
    (pass $name:ident & $($type:tt)*) => { &$name };
    (pass $name:ident $($type:tt)*) => { $name };
    (ignore $name:ident) => { _ };
}

/// Makes the table of the methods of a store, and implements its traits by calling what the table has. A method in a
/// transaction names it before its arguments; traits that are used as `dyn` come second. Methods behind `+` are in no
/// table.
macro_rules! methods {
    (
        $Faulty:ident over $Tx:ty;
        $($Trait:ident$(<$Generic:ident>)? {
            $($method:ident($(&$tx:ident;)? $($argument:ident: ($($type:tt)*)),*) -> $answer:ty;)*
            $(+ $($forward:tt)*)?
        })*;
        $($Dyn:ident {
            $($call:ident($($name:ident: ($($of:tt)*)),*) -> $found:ty;)*
            $(+ $($onward:tt)*)?
        })*
    ) => {
        /// What becomes of the arguments of the methods.
        #[derive(Clone, Copy)]
        pub(super) struct Arguments {
            $($(pub(super) $method: fn(&$Faulty, $(&mut argument!(owned $($type)*)),*),)*)*
            $($(pub(super) $call: for<'a> fn(&'a $Faulty, $(&mut argument!(owned $($of)*)),*),)*)*
        }

        /// The methods of the store: each calls the store without a fault, or does something else.
        #[derive(Clone, Copy)]
        pub(super) struct Calls {
            $($(pub(super) $method: for<'a> fn(
                &'a $Faulty, $(argument!('a &mut; $tx $Tx),)? $(argument!('a $($type)*)),*
            ) -> BoxFuture<'a, Result<$answer, Error>>,)*)*
            $($(pub(super) $call: for<'a> fn(
                &'a $Faulty, $(argument!('a $($of)*)),*
            ) -> BoxFuture<'a, Result<$found, Error>>,)*)*
        }

        /// What becomes of the answers of the methods.
        #[derive(Clone, Copy)]
        pub(super) struct Answers {
            $($(pub(super) $method: fn(&$Faulty, &mut $answer),)*)*
            $($(pub(super) $call: fn(&$Faulty, &mut $found),)*)*
        }

        impl Arguments {
            pub(super) const RIGHT: Self = Self {
                $($($method: |_, $(argument!(ignore $argument)),*| (),)*)*
                $($($call: |_, $(argument!(ignore $name)),*| (),)*)*
            };
        }

        impl Calls {
            pub(super) const RIGHT: Self = Self {
                $($($method: |faulty, $($tx,)? $($argument),*| {
                    Box::pin(faulty.inner.$method($($tx.inner(),)? $($argument),*))
                },)*)*
                $($($call: |faulty, $($name),*| faulty.inner.$call($($name),*),)*)*
            };
        }

        impl Answers {
            pub(super) const RIGHT: Self = Self {
                $($($method: |_, _| (),)*)*
                $($($call: |_, _| (),)*)*
            };
        }

        $(impl $Trait$(<$Generic>)? for $Faulty {
            $(async fn $method(
                &self, $($tx: argument!('_ &mut; $tx $Tx),)? $($argument: argument!('_ $($type)*)),*
            ) -> Result<$answer, Error> {
                $(let mut $argument = argument!(own $argument $($type)*);)*
                (self.fault.arguments.$method)(self, $(&mut $argument),*);
                let call = self.fault.calls.$method;
                let mut answer = call(self, $($tx,)? $(argument!(pass $argument $($type)*)),*).await?;
                (self.fault.answers.$method)(self, &mut answer);
                Ok(answer)
            })*
            $($($forward)*)?
        })*

        $(impl $Dyn for $Faulty {
            $(fn $call<'a>(&'a self, $($name: argument!('a $($of)*)),*) -> BoxFuture<'a, Result<$found, Error>> {
                Box::pin(async move {
                    $(let mut $name = argument!(own $name $($of)*);)*
                    (self.fault.arguments.$call)(self, $(&mut $name),*);
                    let call = self.fault.calls.$call;
                    let mut answer = call(self, $(argument!(pass $name $($of)*)),*).await?;
                    (self.fault.answers.$call)(self, &mut answer);
                    Ok(answer)
                })
            })*
            $($($onward)*)?
        })*
    };
}

/// Makes rows of the table of faults: what is wrong, the case that must catch it, and what it changes. `arguments`
/// changes what a method is called with, `call` replaces a method, `answer` changes what it answers, and `set` replaces
/// a function that is no method of a trait.
macro_rules! faults {
    ($(
        $(#[doc = $doc:literal])+
        $suite:ident $case:ident: $($kind:ident $method:ident: |$($name:pat_param),*| $body:expr;)+
    )+) => {
        &[$(Row {
            fault: concat!($($doc),+),
            suite: Suite::$suite,
            case: stringify!($case),
            changes: {
                let mut fault = Fault::NONE;
                $(faults!(@ fault $kind $method |$($name),*| $body);)+
                fault
            },
        },)+]
    };
    (@ $fault:ident call $method:ident |$($name:pat_param),*| $body:expr) => {
        $fault.calls.$method = |$($name),*| Box::pin(async move { $body })
    };
    (@ $fault:ident answer $method:ident $change:expr) => { $fault.answers.$method = $change };
    (@ $fault:ident arguments $method:ident $change:expr) => { $fault.arguments.$method = $change };
    (@ $fault:ident set $function:ident $change:expr) => { $fault.$function = $change };
}

/// Calls a method of the store without a fault in a transaction of its own, which commits.
macro_rules! at_once {
    ($faulty:ident.$method:ident($($argument:expr),*)) => {{
        let mut own = $faulty.inner.begin().await?;
        let answer = $faulty.inner.$method(&mut own, $($argument),*).await?;
        $faulty.inner.commit(own).await?;
        Ok::<_, messagekit::Error>(answer)
    }};
}

pub(super) use {argument, at_once, faults, methods};

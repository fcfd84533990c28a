/*
 * The contract tests: what store.h promises, as tests that every engine runs.
 * They lie in src/store/contract, which only test programs are linked with:
 *
 *   x_test.c:  #include "store/contract_test.h"
 *              ... a struct store_contract_factory ...
 *              return store_contract_run("x", &factory);
 */
#ifndef STORE_CONTRACT_TEST_H
#define STORE_CONTRACT_TEST_H

#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

/* Makes the engine under test.  Everything is called with ARG. */
struct store_contract_factory {
	/* An engine with nothing in it. */
	struct store *(*open)(void *arg);
	/* Closes STORE and opens what it kept; NULL if it keeps nothing. */
	struct store *(*reopen)(void *arg, struct store *store);
	/* Closes STORE and removes what open() made. */
	void (*close)(void *arg, struct store *store);
	void *arg;
};

/* Runs all cases through cmocka; the number of failed ones. */
int store_contract_run(
    const char *name, const struct store_contract_factory *factory);
/* Gives the same random requests to two empty engines and compares every
   answer; a difference prints seed and step and aborts. */
void store_contract_random(
    struct store *a, struct store *b, uint64_t seed, size_t steps);
/* The same with engines that it opens, and closes and opens again on the way
   where the factory can. */
void store_contract_random_reopen(const struct store_contract_factory *a,
    const struct store_contract_factory *b, uint64_t seed, size_t steps);

#include "store/contract_kit.h"

#endif

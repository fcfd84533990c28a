/*
 * The model engine: everything in memory.  It is what the other engines are
 * compared with, what simulations use where the store is not what they look at,
 * and the index of an engine that keeps messages elsewhere (ram_model.h).
 */
#ifndef STORE_RAM_RAM_H
#define STORE_RAM_RAM_H

#include "os/os.h"
#include "store/store.h"

/* An empty engine.  OS says how much room there is; NULL = enough.  It stays
   the caller's. */
struct store *store_ram_new(struct os *os);

#endif

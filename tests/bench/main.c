/* gyro-load: gyro-sim's load command as a program of its own. */
#include "tests/client/load.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int status = gyro_sim_load(argc, argv);

	fflush(stdout);
	_exit(status); /* libfdcore was never started: there is nothing to shut down */
}

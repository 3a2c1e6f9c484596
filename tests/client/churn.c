/* placeholder */
#include "tests/client/commands.h"
int gyro_sim_churn(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 2;
}
